"""Scenarios found, played, judged, repeated and explained."""
