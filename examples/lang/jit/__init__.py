"""Compiles what is hot to machine code by cnp: kinds.py, liveness.py and blocks.py find what there is to do, lower.py
and what it is made of say it in cnp ops, tier.py and site.py run it and take the guest back."""
