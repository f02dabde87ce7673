"""The figures that cnp is judged by, each a named measurement with a target: `cnp bench`.

One module a bench; `registry` lists them, `runner` runs them, `printer` shows what they found.
"""
