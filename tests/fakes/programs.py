"""Programs that pods run in place of a trainer."""

# A run that writes an artifact beyond any cap, and would go on for long; it notes that it was told to end.
TOO_BIG = """
import json, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
print(json.dumps({"t": 1.0, "event": "artifact", "total_bytes": 10**9}), file=open("events.jsonl", "a"), flush=True)
print("evaluating", flush=True)
time.sleep(300)
"""
