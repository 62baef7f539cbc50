"""A replay of bundles in float64 NumPy with derivatives by hand, written from docs/bundle-format.md alone.

It uses nothing of qdistill, so that the document, the package and this file have to agree.
"""

import hashlib
import json

import numpy as np

PAULIS = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


def read_bundle(path):
    with open(path, "rb") as file:
        content = file.read()
    start = 8 + int.from_bytes(content[:8], "little")
    entries = json.loads(content[8:start])
    metadata = entries.pop("__metadata__")
    assert metadata["format"] == "qdistill-bundle"
    assert metadata["format_version"] == "5"
    listed = [[name, entries[name]["dtype"], entries[name]["shape"]] for name in sorted(entries)]
    sha = hashlib.sha256(f"{metadata['header']}\n{json.dumps(listed)}\n".encode())
    tensors = {}
    for name, dtype, shape in listed:
        first, last = (start + offset for offset in entries[name]["data_offsets"])
        sha.update(content[first:last])
        tensors[name] = np.frombuffer(content[first:last], {"F32": "<f4", "I32": "<i4", "U8": "u1"}[dtype])
        tensors[name] = tensors[name].reshape(shape)
    assert metadata["digest"] == f"sha256:{sha.hexdigest()}"
    for name in [name for name, tensor in tensors.items() if tensor.dtype == np.uint8]:
        low, step = tensors.pop(name + "/low"), tensors.pop(name + "/step")
        tensors[name] = low + step * tensors[name].astype(np.float32)
    return json.loads(metadata["header"]), tensors


def transformed(step, own, x):
    """What a step of the chain of transforms makes of inputs; its tensors are `own`."""
    if step["name"] == "standardise":
        return (x - own["mean"]) / own["std"]
    if step["name"] == "rescale":
        minimum, maximum = own["minimum"], own["maximum"]
        return step["low"] + (step["high"] - step["low"]) * (x - minimum) / (maximum - minimum)
    if step["name"] == "pca":
        components = own["components"]
        return (x - own["mean"]).reshape(len(x), -1) @ components.reshape(len(components), -1).T
    return whitened(own["kernel"], x)


def whitened(kernel, x):
    """The filter at every pixel; beyond the border lies the mirror image."""
    side, (height, width) = len(kernel), x.shape[1:3]
    period_i, period_j = 2 * (height - 1), 2 * (width - 1)
    result = np.zeros_like(x)
    for u in range(side):
        for v in range(side):
            rows = np.abs((np.arange(height) + u - side // 2 + height - 1) % period_i - (height - 1))
            columns = np.abs((np.arange(width) + v - side // 2 + width - 1) % period_j - (width - 1))
            result += x[:, rows][:, :, columns] @ kernel[u, v]
    return result


def slopes_of(loss, logits, labels):
    """The derivatives of each example's loss by its logits."""
    if loss == "cross_entropy":
        exp = np.exp(logits - logits.max(axis=1, keepdims=True))
        softmax = exp / exp.sum(axis=1, keepdims=True)
        return softmax * labels.sum(axis=1, keepdims=True) - labels
    if loss == "square":
        return 2 * (logits - labels)
    if loss == "fidelity":
        return -labels
    assert loss == "hinge"
    slopes = np.zeros_like(logits)
    for i, c in np.ndindex(logits.shape):
        others = [d for d in range(logits.shape[1]) if d != c]
        largest = max(others, key=lambda d, i=i: logits[i, d])
        if logits[i, c] - logits[i, largest] < 1:
            slopes[i, c] -= labels[i, c]
            slopes[i, largest] += labels[i, c]
    return slopes


class Replay:
    """A bundle's network, before or after its training.

    `ties` says how equal maxima of a pooling window share its derivative: "even", as documented, or "first".
    """

    def __init__(self, path, ties="even"):
        self.header, tensors = read_bundle(path)
        self.tensors = {
            name: array if name == "schedule" else array.astype(np.float64) for name, array in tensors.items()
        }
        self.weights = {name: self.tensors[f"weights/{name}"].copy() for name in self.header["weight_names"]}
        self.kind = self.header["architecture"]["name"]
        self.fields = self.header["architecture"]["fields"]
        self.ties = ties

    def train(self):
        inner, names = self.header["inner"], self.header["weight_names"]
        inputs, labels = self.tensors["inputs"], self.tensors["labels"]
        first = {name: np.zeros_like(w) for name, w in self.weights.items()}
        second = {name: np.zeros_like(w) for name, w in self.weights.items()}
        for t, sizes in enumerate(self.tensors["step_sizes"]):
            row = self.tensors["schedule"][t] if inner["own_examples"] else slice(None)
            gradients = self.gradients(inputs[row], labels[row])
            for place, name in enumerate(names):
                g = gradients.get(name, 0.0)
                if inner["optimiser"] == "gradient_descent":
                    update = g
                elif inner["optimiser"] == "momentum":
                    update = first[name] = g + 0.9 * first[name]
                else:
                    m = first[name] = 0.9 * first[name] + 0.1 * g
                    v = second[name] = 0.999 * second[name] + 0.001 * g**2
                    m, v = m / (1 - 0.9 ** (t + 1)), v / (1 - 0.999 ** (t + 1))
                    update = m / (np.sqrt(v + 1e-12) + 1e-8)
                size = sizes[0] if inner["step_sizes"] == "shared" else sizes[place]
                self.weights[name] = self.weights[name] - size * update
        return self

    def normalise(self, pixels):
        x = pixels / self.header["data"]["scale"]
        for place, step in enumerate(self.header["transforms"]):
            start = f"transforms/{place}/"
            own = {name.removeprefix(start): a for name, a in self.tensors.items() if name.startswith(start)}
            x = transformed(step, own, x)
        return x

    def logits(self, pixels, part=100):
        parts = [self.forward(self.normalise(pixels[i : i + part]))[0] for i in range(0, len(pixels), part)]
        return np.concatenate(parts)

    def accuracy(self, pixels, labels):
        return float(np.mean(self.logits(pixels).argmax(axis=1) == labels))

    # Forward: every function returns its result and what its derivative needs.

    def forward(self, inputs):
        w = self.weights
        x = pad(inputs)
        if self.fields.get("quanvolution_layers"):
            x, c1 = self.quanvolution(x)
        else:
            x, c1 = conv_pool(x, w["features.c1.kernel"], w["features.c1.bias"])
        x, c2 = conv_pool(x, w["features.c2.kernel"], w["features.c2.bias"])
        flat = x.reshape(len(x), -1)
        h1 = np.maximum(0, flat @ w["features.f1.weight"].T + w["features.f1.bias"])
        z = h1 @ w["features.f2.weight"].T + w["features.f2.bias"]
        f = np.pi / 2 * np.tanh(z) if self.fields.get("f2_activation") == "tanh" else np.maximum(0, z)
        hidden, branch = self.middle(f)
        logits = hidden @ w["f3.weight"].T + w["f3.bias"]
        return logits, (c1, c2, x.shape, flat, h1, f, hidden, branch)

    def quanvolution(self, x):
        b, height, width, channels = x.shape
        patches = x.reshape(b, height // 2, 2, width // 2, 2, channels).transpose(0, 1, 3, 5, 2, 4).reshape(-1, 4)
        gates = circuit(self.weights["features.c1.layer.weights"])
        values, cache = quantum(patches, gates, np.tile([0.0, 0.0, 0.0, 1.0], (4, 1)), "angle")
        return values.reshape(b, height // 2, width // 2, 4 * channels), (patches, gates, cache)

    def middle(self, f):
        """What F3 takes."""
        if self.kind == "LeNetArchitecture":
            return f, None
        branch, skip = self.fields["branch"], self.fields["skip"]
        e, cache = None, None
        if branch == "dense":
            groups = np.array_split(np.arange(f.shape[1]), self.weights["branch.dense.weight"].shape[1])
            cache = np.zeros((len(groups), f.shape[1]))
            for row, members in enumerate(groups):
                cache[row, members] = 1 / len(members)
            e = f @ cache.T @ self.weights["branch.dense.weight"].T + self.weights["branch.dense.bias"]
        elif branch != "removed":
            e, cache = quantum(
                f, circuit(self.weights["branch.weights"]), self.coefficients(), self.fields["embedding"]
            )
        hidden = np.zeros((len(f), 0))
        if skip == "pad":
            hidden = f.copy()
            if e is not None:
                hidden[:, : e.shape[1]] += e
        elif skip == "projection":
            hidden = f @ self.weights["projection.weight"].T + self.weights["projection.bias"]
            hidden = hidden if e is None else hidden + e
        else:
            hidden = e
        return hidden, cache

    def coefficients(self):
        if self.fields["observable"] == "pauli_z":
            return np.tile([0.0, 0.0, 0.0, 1.0], (self.fields["n_qubits"], 1))
        return self.weights["branch.observable.coefficients"]

    # Backward.

    def gradients(self, inputs, labels):
        w = self.weights
        logits, (c1, c2, shape, flat, h1, f, hidden, branch) = self.forward(inputs)
        d = slopes_of(self.header["inner"]["loss"], logits, labels) / len(inputs)
        g = {"f3.weight": d.T @ hidden, "f3.bias": d.sum(axis=0)}
        d = self.middle_backward(d @ w["f3.weight"], f, branch, g)
        for name, before, after in (("features.f2", h1, f), ("features.f1", flat, h1)):
            if name == "features.f2" and self.fields.get("f2_activation") == "tanh":
                d = d * np.pi / 2 * (1 - (2 * after / np.pi) ** 2)
            else:
                d = d * (after > 0)
            g[f"{name}.weight"], g[f"{name}.bias"] = d.T @ before, d.sum(axis=0)
            d = d @ w[f"{name}.weight"]
        d = d.reshape(shape)
        for name, cache in (("features.c2", c2), ("features.c1", c1)):
            if name == "features.c1" and self.fields.get("quanvolution_layers"):
                patches, gates, kept = cache
                pauli_z = np.tile([0.0, 0.0, 0.0, 1.0], (4, 1))
                by_angles, _, _ = quantum_backward(d.reshape(-1, 4), patches, gates, pauli_z, "angle", kept)
                g["features.c1.layer.weights"] = placed(by_angles, w["features.c1.layer.weights"])
            else:
                g[f"{name}.kernel"], g[f"{name}.bias"], d = conv_pool_backward(d, w[f"{name}.kernel"], cache, self.ties)
        return g

    def middle_backward(self, d, f, cache, g):
        """The derivative by the features; adds those by the weights to `g`."""
        if self.kind == "LeNetArchitecture":
            return d
        branch, skip = self.fields["branch"], self.fields["skip"]
        q = self.fields["n_qubits"]
        by_f = np.zeros_like(f)
        if skip == "pad":
            by_f += d
        elif skip == "projection":
            g["projection.weight"], g["projection.bias"] = d.T @ f, d.sum(axis=0)
            by_f += d @ self.weights["projection.weight"]
        by_e = d[:, :q]
        if branch == "dense":
            g["branch.dense.weight"] = by_e.T @ (f @ cache.T)
            g["branch.dense.bias"] = by_e.sum(axis=0)
            by_f += by_e @ self.weights["branch.dense.weight"] @ cache
        elif branch != "removed":
            by_angles, by_coefficients, through = quantum_backward(
                by_e, f, circuit(self.weights["branch.weights"]), self.coefficients(), self.fields["embedding"], cache
            )
            by_f += through
            if branch == "quantum":
                g["branch.weights"] = placed(by_angles, self.weights["branch.weights"])
                if self.fields["observable"] == "hermitian":
                    g["branch.observable.coefficients"] = by_coefficients
        return by_f


def circuit(angles):
    """The gates as (axis, wire, angle, place of the angle) and ("CNOT", control, target).

    Strongly entangling layers have angles (layers, wires, 3), basic ones (layers, wires).
    """
    gates, q, strongly = [], angles.shape[1], angles.ndim == 3
    for layer in range(len(angles)):
        for wire in range(q):
            if strongly:
                for k, axis in enumerate("ZYZ"):
                    gates.append((axis, wire, angles[layer, wire, k], (layer, wire, k)))
            else:
                gates.append(("X", wire, angles[layer, wire], (layer, wire)))
        if strongly and q > 1:
            r = layer % (q - 1) + 1
            gates += [("CNOT", w, (w + r) % q) for w in range(q)]
        elif not strongly and q == 2:
            gates.append(("CNOT", 0, 1))
        elif not strongly and q > 2:
            gates += [("CNOT", w, (w + 1) % q) for w in range(q)]
    return gates


def placed(by_angles, angles):
    derivative = np.zeros_like(angles)
    for place, value in by_angles.items():
        derivative[place] = value
    return derivative


def pad(inputs):
    margins = [(0, 0)]
    for side in inputs.shape[1:3]:
        m = max(0, 32 - side)
        margins.append((m // 2, m - m // 2))
    return np.pad(inputs, [*margins, (0, 0)])


def patches(x):
    """(b, height - 4, width - 4, 5, 5, channels)."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (5, 5), axis=(1, 2))
    return windows.transpose(0, 1, 2, 4, 5, 3)


def conv_pool(x, kernel, bias):
    y = np.tensordot(patches(x), kernel, axes=3)
    b, height, width, n_out = y.shape
    windows = y.reshape(b, height // 2, 2, width // 2, 2, n_out)
    peaks = windows.max(axis=(2, 4))
    out = np.maximum(0, peaks + bias)
    return out, (x, windows, peaks, out)


def conv_pool_backward(d, kernel, cache, ties):
    x, windows, peaks, out = cache
    d = d * (out > 0)
    b, height, width, n_out = out.shape
    at = windows == peaks[:, :, None, :, None]
    if ties == "first":
        rows = at.transpose(0, 1, 3, 5, 2, 4).reshape(b, height, width, n_out, 4)
        rows = np.arange(4) == rows.argmax(axis=-1)[..., None]
        at = rows.reshape(b, height, width, n_out, 2, 2).transpose(0, 1, 4, 2, 5, 3)
    share = at / at.sum(axis=(2, 4), keepdims=True)
    by_y = (share * d[:, :, None, :, None]).reshape(b, 2 * height, 2 * width, n_out)
    by_kernel = np.tensordot(patches(x), by_y, axes=((0, 1, 2), (0, 1, 2)))
    by_x = np.zeros_like(x)
    for u in range(5):
        for v in range(5):
            by_x[:, u : u + 2 * height, v : v + 2 * width] += by_y @ kernel[u, v].T
    return by_kernel, d.sum(axis=(0, 1, 2)), by_x


def rotation(axis, angle):
    """exp(-i angle P / 2)."""
    angle = np.asarray(angle)[..., None, None]
    return np.cos(angle / 2) * PAULIS[0] - 1j * np.sin(angle / 2) * PAULIS["IXYZ".index(axis)]


def apply(matrix, wire, states):
    """A 2x2 matrix, or one for each state, on a wire of states (b, 2^q)."""
    b, size = states.shape
    split = states.reshape(b, 2**wire, 2, size // 2 ** (wire + 1))
    matrix = np.broadcast_to(matrix, (b, 2, 2))
    return np.einsum("bij,bajc->baic", matrix, split).reshape(b, size)


def cnot(control, target, states):
    q = states.shape[1].bit_length() - 1
    index = np.arange(2**q)
    flipped = index ^ ((index >> (q - 1 - control) & 1) << (q - 1 - target))
    return states[:, flipped]


def quantum(f, gates, coefficients, embedding):
    q = len(coefficients)
    if embedding == "amplitude":
        states = (f / np.sqrt(np.sum(f**2, axis=1, keepdims=True) + 1e-12)).astype(complex)
    else:
        states = np.zeros((len(f), 2**q), complex)
        states[:, 0] = 1
        for wire in range(q):
            states = apply(rotation("Y", f[:, wire]), wire, states)
    embedded = states
    for gate in gates:
        if gate[0] == "CNOT":
            states = cnot(gate[1], gate[2], states)
        else:
            states = apply(rotation(gate[0], gate[2]), gate[1], states)
    # <P> for each state, wire and product of Pauli matrices.
    values = np.array(
        [[np.sum(states.conj() * p(states), axis=1).real for p in products(wire, coefficients)] for wire in range(q)]
    ).transpose(2, 0, 1)
    return np.sum(values * coefficients, axis=2), (embedded, states, values)


def products(wire, coefficients):
    """What the product of Pauli matrices for each column of the coefficients does to states."""
    q, columns = coefficients.shape
    m = round(np.log2(columns) / 2)

    def product(s):
        def on(states):
            for k in range(m):
                states = apply(PAULIS[s // 4 ** (m - 1 - k) % 4], (wire + k) % q, states)
            return states

        return on

    return [product(s) for s in range(columns)]


def quantum_backward(d, f, gates, coefficients, embedding, cache):
    """Derivatives by the angles (a dict), the coefficients and the features: the adjoint method."""
    embedded, states, values = cache
    q = len(coefficients)
    adjoint = np.zeros_like(states)
    for wire in range(q):
        for c, p in zip(coefficients[wire], products(wire, coefficients), strict=True):
            adjoint += d[:, wire, None] * c * p(states)
    by_angles = {}
    for gate in reversed(gates):
        if gate[0] == "CNOT":
            states, adjoint = (cnot(gate[1], gate[2], s) for s in (states, adjoint))
            continue
        axis, wire, angle, place = gate
        by_angles[place] = np.sum(by_angle(axis, wire, states, adjoint))
        states, adjoint = (apply(rotation(axis, -angle), wire, s) for s in (states, adjoint))
    np.testing.assert_allclose(states, embedded, atol=1e-10)
    by_coefficients = np.einsum("bw,bwp->wp", d, values)
    if embedding == "amplitude":
        norm = np.sqrt(np.sum(f**2, axis=1, keepdims=True) + 1e-12)
        by_state = 2 * adjoint.real
        by_f = by_state / norm - f * np.sum(f * by_state, axis=1, keepdims=True) / norm**3
    else:
        # The rotations of different wires commute, so each can be taken as the last one.
        by_f = np.stack([by_angle("Y", wire, states, adjoint) for wire in range(q)], axis=1)
    return by_angles, by_coefficients, by_f


def by_angle(axis, wire, states, adjoint):
    """2 Re <adjoint| (-i/2) P |state> behind the gate exp(-i angle P / 2)."""
    return np.sum(adjoint.conj() * apply(PAULIS["IXYZ".index(axis)], wire, states), axis=1).imag
