"""Rules of scaling: demand, bookings, behaviour, victims. Pure functions and values.

Numbers of pods are exact: needs are `Fraction`s and are rounded up once, at the end, so that no
float error ever starts or stops a pod.
"""
