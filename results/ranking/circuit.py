"""Write the circuits that the recipes here distil for: `python results/ranking/circuit.py`."""

import json
from pathlib import Path

from qdistill.quantum import SimCircuit

for name, n_wires in (("sim-14-2.json", 4), ("sim-14-2-moons.json", 2)):
    circuit = SimCircuit(14, n_wires, 2).circuit()
    Path(__file__).with_name(name).write_text(json.dumps(circuit.to_json()) + "\n")
