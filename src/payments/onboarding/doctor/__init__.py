"""`payments doctor`: what is configured wrong, and what to set or run."""

from payments.onboarding.doctor.examination import examine, refused
from payments.onboarding.doctor.verdicts import Finding, Patient

__all__ = ["Finding", "Patient", "examine", "refused"]
