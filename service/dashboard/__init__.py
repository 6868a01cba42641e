"""The dashboard: pages that show what is stored, learnt and served, and the buttons that act on it.

`visit.py` is what every page works with: who visits, what they may do, how a page or a part of one is made.
"""
