"""What `findings.json` holds, in short."""

FINDING = {
    "rank": 1,
    "peak_rarity": 4.25,
    "volume_ml": 12.5,
    "diameter_mm": 31.0,
    "mean_hu": -40.0,
    "peak_ras": [1.0, -2.0, 3.0],
}

RECORD = {"findings": [FINDING], "notice": "For research."}
