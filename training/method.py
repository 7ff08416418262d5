"""What a model is, in the words of the paper's tables."""

from ctscreener.model import Model

OBJECTIVES = {"vicreg": "VICReg", "simclr": "SimCLR"}


def describe(model: Model) -> dict[str, str]:
    """Name the three parts of a model as Tables 3 and 4 of the paper do.

    Arguments:
        model: The model, whose provenance tells how its descriptor was trained.

    Returns:
        `descriptor`, `condition` and `density`.
    """
    settings = model.settings
    stage = model.provenance.get("stages", {}).get("descriptor", {})
    objective = stage.get("settings", {}).get("contrast", {}).get("objective", "")
    name = OBJECTIVES.get(objective, "unknown objective")
    parts = {
        "sin-cos": settings.condition.sincos > 0,
        "APE": getattr(settings.condition, "ape", None) is not None,
        "masking-invariant": settings.condition.learned is not None,
        "surroundings": settings.condition.surround is not None,
    }
    head = settings.density.head
    full = head == "gaussian" and settings.density.covariance == "full"
    return {
        "descriptor": f"{name}, d = {settings.descriptor.out}",
        "condition": " + ".join(part for part, used in parts.items() if used) or "none",
        "density": "full Gaussian" if full else {"gaussian": "Gaussian", "flow": "flow"}[head],
    }
