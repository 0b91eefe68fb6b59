# SPDX-License-Identifier: Apache-2.0
"""Short HTTP calls to the programs' admin listeners."""

import json
import urllib.error
import urllib.request

# A proxy of the environment must never see calls to 127.0.0.0/8.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url, token=None, timeout=5):
    """Status and body, or (0, b"") when nobody answers."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with _OPENER.open(request, timeout=timeout) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError:
        return 0, b""


def is_ready(admin_url):
    return get(admin_url + "/readyz")[0] == 200


def get_json(url, token=None):
    """The decoded body of a 200, else None."""
    status, body = get(url, token)
    return json.loads(body) if status == 200 else None


def metric(admin_url, name, **labels):
    """Sum of all samples of a metric that carry these labels; 0 if there is none."""
    total = 0.0
    for line in get(admin_url + "/metrics")[1].decode().splitlines():
        sample, _, value = line.rpartition(" ")
        if sample.partition("{")[0] == name and all(f'{key}="{text}"' in sample for key, text in labels.items()):
            total += float(value)
    return int(total)
