"""Opens a dataset with the real `lerobot` package and compares it with the truth.

Run by `test_lerobot` with the interpreter of a virtual environment that holds lerobot (pins
there), never by this project's own: `python lerobot_client.py DATASET TRUTH.npz`. lerobot 0.4.4
with a current torch needs two repairs that are no part of the format: torchvision operators that
its CPU wheel leaves out, and a video decoder, since torchvision dropped its own.
"""

import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import av
import numpy as np
import torch

for operator in ("nms", "qnms"):
    torch.library.define(
        f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    )

import lerobot.datasets.lerobot_dataset as lerobot_dataset  # noqa: E402  after the repair

CAMERA = "observation.images.front"


def decode(path, timestamps, tolerance, backend=None):
    """[n, 3, H, W] in 0..1, each frame within the tolerance of its timestamp as lerobot asks."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [(float(f.pts * stream.time_base), f) for f in container.decode(stream)]
    times = np.array([t for t, _ in frames])
    found = []
    for wanted in timestamps:
        i = int(np.abs(times - wanted).argmin())
        assert abs(times[i] - wanted) < tolerance, f"no frame at {wanted} s"
        found.append(torch.from_numpy(frames[i][1].to_ndarray(format="rgb24")).permute(2, 0, 1))
    return torch.stack(found).float() / 255


def main(root: str, truth_file: str) -> None:
    lerobot_dataset.decode_video_frames = decode
    truth = np.load(truth_file)
    fps = int(truth["fps"])
    data = lerobot_dataset.LeRobotDataset(
        "local/rollout", root=root, video_backend="pyav", delta_timestamps={"action": [0, 1 / fps]}
    )
    number, worst = 0, 0.0
    for episode in range(int(truth["episodes"])):
        frames, actions = truth[f"frames{episode}"], truth[f"actions{episode}"]
        tasks = truth[f"tasks{episode}"]
        for i in range(len(frames)):
            item = data[number]
            picture = item[CAMERA].permute(1, 2, 0).numpy() * 255
            worst = max(worst, float(np.abs(picture - frames[i]).mean()))
            np.testing.assert_array_equal(item["action"][0], actions[i])
            assert int(item["episode_index"]) == episode and int(item["frame_index"]) == i
            assert item["task"] == tasks[i], (item["task"], tasks[i])
            assert int(item["chunk"]) == i // int(truth["chunk"])
            number += 1
    assert number == len(data) and data.num_episodes == int(truth["episodes"])
    assert worst < 12, f"a picture is {worst}/255 off"
    assert "mean" in data.meta.stats["action"] and data.meta.stats[CAMERA]["mean"].shape == (
        3,
        1,
        1,
    )
    batch = next(iter(torch.utils.data.DataLoader(data, batch_size=8, shuffle=True)))
    assert batch[CAMERA].shape[:2] == (8, 3) and batch["action"].shape[:2] == (8, 2)
    print(f"lerobot opened {data.num_episodes} episodes, {number} frames, worst error {worst:.2f}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
