"""What it takes to run Ancestral for others: configurations, and the code that writes them."""
