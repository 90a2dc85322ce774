"""`make bench`: what a photo costs, beside the tutorials' way of doing it and beside the least that it can cost."""
