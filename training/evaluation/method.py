"""What a model is, in the words of the paper's tables."""

from ctscreener.encoded import Encoded, EncodedSettings
from ctscreener.model import Model

OBJECTIVES = {"vicreg": "VICReg", "simclr": "SimCLR"}
WORDS = {"gaussian": "Gaussian", "flow": "flow"}


def describe(model: Model) -> dict[str, str]:
    """Name the three parts of a model as Tables 3 and 4 of the paper do.

    Arguments:
        model: The model, whose provenance tells how its descriptor was trained.

    Returns:
        `descriptor`, `condition` and `density`.
    """
    if isinstance(model.networks, Encoded):
        return _whole(model.networks.settings)
    settings = model.settings
    stage = model.provenance.get("stages", {}).get("descriptor", {})
    objective = stage.get("settings", {}).get("contrast", {}).get("objective", "")
    name = OBJECTIVES.get(objective, "unknown objective")
    condition = settings.condition
    parts = {
        "sin-cos": condition.sincos > 0,
        "APE": condition.ape is not None,
        "masking-invariant": condition.learned is not None and not condition.learned_shell,
        # What the paper does not have stands under a name that it does not have either.
        "masking-invariant around": condition.learned is not None and condition.learned_shell,
        "surroundings": bool(condition.surround),
    }
    head = settings.density.head
    full = head == "gaussian" and settings.density.covariance == "full"
    # What stands in the paper's tables are its three networks, not what was distilled from them.
    distilled = ", distilled" if settings.student else ""
    return {
        "descriptor": f"{name}, d = {settings.descriptor.out}",
        "condition": " + ".join(part for part, used in parts.items() if used) or "none",
        "density": ("full Gaussian" if full else WORDS[head]) + distilled,
    }


def _whole(settings: EncodedSettings) -> dict[str, str]:
    """A whole-volume model in the same three words; the paper's tables have none such."""
    parts = {
        "discriminator": settings.discriminator_part.weight,
        "Gaussian": settings.density_part.weight,
    }
    return {
        "descriptor": f"public encoder, {len(settings.encoder.widths)} stages",
        "condition": "none",
        "density": " + ".join(name for name, weight in parts.items() if weight) or "nothing",
    }
