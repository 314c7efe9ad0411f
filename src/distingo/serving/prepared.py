"""Imported by the fork server alone, by its name: everything that its workers need is then there."""

from distingo.serving.worker import import_all

import_all()
