"""Axis-angle, matrices and quaternions of head rotations. Letters: T motion frames."""

from __future__ import annotations

import numpy as np


def quaternion_from_axis_angle(rotation: np.ndarray) -> np.ndarray:
    """(T, 3) radians -> (T, 4) float64 unit quaternions x, y, z, w, neighbours on the same side.

    q and -q are one rotation, but a player that interpolates takes the short way only between neighbours of the same
    sign.
    """
    rotation = np.asarray(rotation, np.float64)
    angle = np.linalg.norm(rotation, axis=1, keepdims=True)
    # sin(a/2)/a by its series near 0, where the quotient loses its digits.
    factor = np.where(angle < 1e-4, 0.5 - angle**2 / 48, np.sin(angle / 2) / np.maximum(angle, 1e-12))
    quaternion = np.concatenate([rotation * factor, np.cos(angle / 2)], axis=1)
    quaternion /= np.linalg.norm(quaternion, axis=1, keepdims=True)
    turned = np.einsum("ij,ij->i", quaternion[1:], quaternion[:-1]) < 0
    signs = np.cumprod(np.concatenate([[1.0], np.where(turned, -1.0, 1.0)]))
    return quaternion * signs[:, None]


def matrix_from_axis_angle(rotation: np.ndarray) -> np.ndarray:
    """(T, 3) radians -> (T, 3, 3) float64."""
    x, y, z, w = quaternion_from_axis_angle(rotation).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0)


def axis_angle_from_matrix(matrix: np.ndarray) -> np.ndarray:
    """(T, 3, 3) -> (T, 3) float64 radians, angles in [0, pi]."""
    matrix = np.asarray(matrix, np.float64)
    # The symmetric 4x4 form of Bar-Itzhack (2000): its greatest eigenvector is the quaternion, for every angle.
    m = matrix
    k = np.zeros((len(m), 4, 4))
    k[:, 0, 0] = m[:, 0, 0] - m[:, 1, 1] - m[:, 2, 2]
    k[:, 1, 1] = m[:, 1, 1] - m[:, 0, 0] - m[:, 2, 2]
    k[:, 2, 2] = m[:, 2, 2] - m[:, 0, 0] - m[:, 1, 1]
    k[:, 3, 3] = m[:, 0, 0] + m[:, 1, 1] + m[:, 2, 2]
    k[:, 1, 0] = m[:, 0, 1] + m[:, 1, 0]
    k[:, 2, 0] = m[:, 0, 2] + m[:, 2, 0]
    k[:, 2, 1] = m[:, 1, 2] + m[:, 2, 1]
    k[:, 3, 0] = m[:, 2, 1] - m[:, 1, 2]
    k[:, 3, 1] = m[:, 0, 2] - m[:, 2, 0]
    k[:, 3, 2] = m[:, 1, 0] - m[:, 0, 1]
    quaternion = np.linalg.eigh(k)[1][:, :, -1]  # eigh reads the lower triangle
    quaternion *= np.where(quaternion[:, 3:] < 0, -1.0, 1.0)
    sine = np.linalg.norm(quaternion[:, :3], axis=1, keepdims=True)
    angle = 2 * np.arctan2(sine, quaternion[:, 3:])
    return quaternion[:, :3] * np.where(sine < 1e-8, 2.0, angle / np.maximum(sine, 1e-12))
