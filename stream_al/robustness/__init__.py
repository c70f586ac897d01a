"""How easily a model is fooled, by changes to what it is asked; and who may teach it.

`probe` attacks a model on many events; `fgsm` and `few_features` are its attacks, on one event. `Linear` is what a
linear model computes. `Trust` weighs annotators by whom they agree with.
"""

from stream_al.robustness.few import few_features
from stream_al.robustness.fgsm import fgsm, slopes_of
from stream_al.robustness.linear import Linear
from stream_al.robustness.probe import Attack, Findings, Subject, choose, probe
from stream_al.robustness.space import Space
from stream_al.robustness.victim import Attempt, Change, Fooled, Victim
from stream_al.trust import Trust

__all__ = [
    "Attack",
    "Attempt",
    "Change",
    "Findings",
    "Fooled",
    "Linear",
    "Space",
    "Subject",
    "Trust",
    "Victim",
    "choose",
    "few_features",
    "fgsm",
    "probe",
    "slopes_of",
]
