"""The service under load, measured beside other servers; never a timed test."""
