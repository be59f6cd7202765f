"""Load generator with open-loop arrivals: clients arrive at random times, independent of how earlier ones fare."""
