"""The one dynamic part of the packaging: the four top-level folders become sub-packages of solidmark."""

from setuptools import find_packages, setup

FOLDERS = ("benchmark", "fixtures", "mitigations", "reports")

setup(
    packages=find_packages("src")
    + [
        package
        for folder in FOLDERS
        for package in (f"solidmark.{folder}", *(f"solidmark.{folder}.{sub}" for sub in find_packages(folder)))
    ],
    package_dir={"solidmark": "src/solidmark", **{f"solidmark.{folder}": folder for folder in FOLDERS}},
)
