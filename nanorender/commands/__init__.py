"""Commands of the command line, a module per stage, and the options they share.

- `rendering`: preview, gallery, generate, bench
- `datasets`: verify, export
- `calibration`: calibrate
- `analysis`: measure, report, evaluate
- `unet.commands`: train, select, baseline, segment
- `cli`: run, demo, compare, reproduce, doctor
"""
