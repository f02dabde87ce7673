"""Compiles what is hot to machine code by cnp: kinds.py, liveness.py and blocks.py find what there is to do, lower.py
and what it is made of say it in cnp ops, tier.py, trial.py and site.py run it and take the guest back.

Only lower.py and what it needs import cnp, and tier.py imports that when something is worth compiling."""
