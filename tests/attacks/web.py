"""The web of a running platform, spoken to as Flask's test client is: what is written for one can use the other."""

from typing import Any

import requests

from services.platform import Platform


class Answer:
    """As Flask's client has it: `json` is None where there is none."""

    def __init__(self, its: requests.Response) -> None:
        self.status_code, self.headers, self.data, self.text = its.status_code, its.headers, its.content, its.text
        is_json = its.headers.get("Content-Type") == "application/json"
        self.json: Any = its.json() if is_json else None


class Web:
    """One connection, as long as it lasts."""

    def __init__(self, platform: Platform) -> None:
        self._url, self._session = platform.url, requests.Session()

    def open(self, path: str, method: str = "GET", **content: Any) -> Answer:
        made = self._session.request(method, self._url + path, timeout=60, allow_redirects=False, **content)
        return Answer(made)

    def get(self, path: str, **content: Any) -> Answer:
        return self.open(path, "GET", **content)

    def post(self, path: str, **content: Any) -> Answer:
        return self.open(path, "POST", **content)

    def delete(self, path: str, **content: Any) -> Answer:
        return self.open(path, "DELETE", **content)
