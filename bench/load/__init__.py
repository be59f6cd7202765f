"""Mixed traffic with open-loop arrivals: clients come at random moments, however the earlier ones fare."""
