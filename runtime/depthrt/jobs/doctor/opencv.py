"""Which OpenCV is installed, whether it loads, and whether it can show windows."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

# Distributions that each install the package cv2, and so overwrite one another.
OPENCV_WHEELS = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
_ONE = "opencv-python, or opencv-python-headless where no window is shown"
_SYSTEM_LIBRARIES = ("libGL", "libgthread", "libxcb")


def opencv_failure() -> str:
    """Why ``import cv2`` fails, or gives nothing; empty where all is well."""
    try:
        cv2 = import_module("cv2")
    except ImportError as error:
        return str(error)
    # What is left where two wheels overwrote one another and one was uninstalled.
    return "" if hasattr(cv2, "imdecode") else "the package cv2 is there, but empty"


def opencv_problems(wheels: Sequence[str], failure: str) -> list[str]:
    """What is wrong with OpenCV, a sentence each that says what to do.

    Args:
        wheels: of :data:`OPENCV_WHEELS` those that are installed.
        failure: why it does not load; empty where it does.
    """
    if len(wheels) > 1:
        return [
            f"{' and '.join(wheels)} overwrite one another's files: pip uninstall all of them, "
            f"then pip install {_ONE}"
        ]
    if not failure:
        return []
    if any(library in failure for library in _SYSTEM_LIBRARIES):
        return [
            f"OpenCV lacks a system library ({failure}): apt-get install libgl1 libglib2.0-0, or "
            "install opencv-python-headless in place of opencv-python"
        ]
    if wheels:
        return [f"OpenCV does not load ({failure}): pip install --force-reinstall {wheels[0]}"]
    return [f"OpenCV is missing ({failure}): pip install {_ONE}"]


def shows_windows() -> bool:
    """Whether the OpenCV that is installed was built with windows; the headless ones are not."""
    cv2 = import_module("cv2")
    return bool(cv2.currentUIFramework())
