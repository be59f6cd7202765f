"""What training and evaluation both measure."""
