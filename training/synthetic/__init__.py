"""Synthetic anomalies: what no scan shows, put into real ones, so that a network can be trained."""
