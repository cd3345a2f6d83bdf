"""The lines of a plain log, from its knobs to its score."""

HEAD = "Hyperparameters:\n  seed: 42\n  ttt_epochs: 3\ntrain_shards: 80\nval_tokens: 40540160\n"
TRAIN = "1/900 train_loss: 9.01 train_time: 0.0m tok/s: 8\n900/900 train_loss: 2.8 train_time: 9.8m tok/s: 8\n"
STOP = "stopping_early: wallclock_cap train_time: 588047ms step: 900/20000\n"
SCORE = "quantized_ttt val_loss:2.79180191 val_bpb:1.08079352 eval_time:366525ms\n"
