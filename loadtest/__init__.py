"""What the service does under load, measured beside what else there is: never a timed test."""
