"""One module per question that an evaluation asks; `training.evaluation.run` has the table."""
