"""What is counted and how traces and baggage are read and written."""
