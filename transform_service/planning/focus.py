"""Finds out where crops around the focal point are, so that everything later knows crops at a point only."""

from imaging.geometry import Frame, Point, Size
from transform_service.operations.base import Steps
from transform_service.operations.crop import FOCUS, Crop


def focused(operations: Steps, size: Size, point: Point | None) -> Steps:
    """The operations with crops at a point in place of those around the focal point.

    `size` is the upright size of the image, and `point` its focal point. Where that is unknown, as behind an operation
    that goes by the pixels, the crop is `smart`.
    """
    if not any(isinstance(step, Crop) and step.place == FOCUS for step in operations):
        return operations
    steps = []
    for operation in operations:
        step = operation
        if isinstance(step, Crop) and step.place == FOCUS:
            step = step.around(point, size) if point else Crop(box=step.box, place="smart")
        steps.append(step)
        after = step.output(Frame(size))
        point = step.moved(point, size) if point and after.exact else None
        size = after.size
    return tuple(steps)
