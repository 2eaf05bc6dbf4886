"""A build without a world, as light as can be: `python -I -S bench/build.py HOST PORT PATH PER_SECOND SECONDS LATER`.

Connects to the bridge and prints "ready"; a line on its standard input lets it send states on a fixed timetable, LATER
seconds after that line. Each says when it was given to the socket (`at`, on the clock that all processes share).
"""

import json
import socket
import struct
import sys
import time

FINAL_TEXT, MASKED = 0x81, 0x80
PADDING = "." * 200
EPISODE = 100  # states


def main(host: str, port: str, path: str, per_second: str, seconds: str, later: str) -> None:
    with socket.create_connection((host, int(port))) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        shake_hands(line, f"{host}:{port}", path)
        line.recv(65_536)  # the job
        send(line, "Instance: Start Training")
        print("ready", flush=True)
        sys.stdin.readline()
        time.sleep(float(later))
        play(line, float(per_second), float(seconds))


def play(line: socket.socket, per_second: float, seconds: float) -> None:
    """What is late is not forgiven."""
    began = time.perf_counter()
    for number in range(round(per_second * seconds)):
        time.sleep(max(0.0, began + number / per_second - time.perf_counter()))
        state = {"msg_id": 1, "episodeCount": number // EPISODE, "at": time.perf_counter(), "padding": PADDING}
        send(line, json.dumps(state))


def shake_hands(line: socket.socket, host: str, path: str) -> None:
    line.sendall(
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += line.recv(1)
    assert b" 101 " in answer, answer


def send(line: socket.socket, text: str) -> None:
    """One frame of up to 64 kB, masked with zeros, which changes nothing."""
    content = text.encode()
    size = len(content)
    head = bytes([FINAL_TEXT, MASKED | size]) if size < 126 else struct.pack("!BBH", FINAL_TEXT, MASKED | 126, size)
    line.sendall(head + bytes(4) + content)


if __name__ == "__main__":
    main(*sys.argv[1:])
