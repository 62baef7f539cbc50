"""Write the circuit that the recipes here distil for: `python results/ranking/circuit.py`."""

import json
from pathlib import Path

from qdistill.quantum import SimCircuit

circuit = SimCircuit(14, 4, 2).circuit()
Path(__file__).with_name("sim-14-2.json").write_text(json.dumps(circuit.to_json()) + "\n")
