"""Asks the corpus's own judge, curl_judge.py, whether recorded requests mean what a case expects.

    judge.py FOLDER        JSON lines on stdin and stdout:
    {"id": ..., "server_input_b64": ..., "proxy_input_b64": ...} -> {"differences": [...]}, or null where the case expects no requests

The judge compares requests that a module `convert` takes apart, which is not part of the corpus: it is below. Beyond what the judge
leaves out, an `Expect` counts only where the case sets it: when to send it unasked is curl's own policy. And a host is the same in upper
and in lower case (RFC 9110 4.2.3).
"""
import base64
import json
import re
import sys
import types

REQUEST_LINE = re.compile(rb"(\S+) (.*) (HTTP/\d\.\d)")
NEXT_REQUEST = re.compile(rb"[A-Z]+ \S+ HTTP/1\.[01]\r\n|\[DISCONNECT\]\n")
AUTHORITY = re.compile(r"^\w+://[^/?]*")
DISCONNECT = b"[DISCONNECT]\n"


def split_requests(dump):
    """The HTTP/1 requests in what a server received; None if it is something else."""
    requests = []
    while dump:
        if dump.startswith(DISCONNECT):
            requests.append({"event": "disconnect"})
            dump = dump[len(DISCONNECT):]
            continue
        head, end, dump = dump.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        line = REQUEST_LINE.fullmatch(lines[0])
        if not line or not end or not all(b":" in field for field in lines[1:]):
            return None
        method, target, version = (part.decode("latin-1") for part in line.groups())
        fields = [field.decode("latin-1").split(":", 1) for field in lines[1:]]
        fields = [[name, value.strip()] for name, value in fields]
        framing, body, dump = take_body({name.lower(): value for name, value in fields}, dump)
        requests.append({"method": method, "target": target, "version": version, "headers": fields,
                         "framing": framing, "body_b64": base64.b64encode(body).decode()})
    return requests


def take_body(fields, dump):
    """How the body is framed, its bytes, and what follows it."""
    if fields.get("transfer-encoding", "").lower().endswith("chunked"):
        body = b""
        while True:
            size, _, dump = dump.partition(b"\r\n")
            length = int(size.split(b";")[0] or b"0", 16)
            if length == 0:
                trailers, end, rest = (b"\r\n" + dump).partition(b"\r\n\r\n")
                return "chunked", body, rest if end else b""
            body, dump = body + dump[:length], dump[length + 2:]
    if "content-length" not in fields:
        return "none", b"", dump
    length = int(fields["content-length"])
    # A body that was announced and never sent has the next request in its place.
    if length <= len(dump) and not NEXT_REQUEST.match(dump):
        return "length", dump[:length], dump[length:]
    cut = NEXT_REQUEST.search(dump)
    end = cut.start() if cut else len(dump)
    return "length-incomplete", dump[:end], dump[end:]


def normalized(requests, keeps_expect):
    """The requests with hosts in lower case, and without `Expect` unless that is kept."""
    for request in requests or []:
        fields = request.get("headers", [])
        if not keeps_expect:
            fields = [field for field in fields if field[0].lower() != "expect"]
        request["headers"] = [[name, value.lower()] if name.lower() == "host" else [name, value] for name, value in fields]
        if "target" in request:
            request["target"] = AUTHORITY.sub(lambda found: found.group().lower(), request["target"])
    return requests


def differences(curl_judge, case, record):
    """As the corpus's judge finds them."""
    options = [option for operation in case["ops"] for option in operation]
    asks = any(name == "header" and value and value.lower().startswith("expect:") for name, value in options)
    curl_judge.split_requests = lambda dump: normalized(split_requests(dump), asks)
    for key in ("protocol_requests", "proxy_requests"):
        normalized(case["expect"].get(key), asks)
    return curl_judge.judge_requests(case, record)


def main():
    folder = sys.argv[1]
    sys.path.insert(0, folder)
    sys.modules["convert"] = types.SimpleNamespace(split_requests=split_requests)
    import curl_judge

    with open(folder + "/curl-cases.json") as file:
        cases = {case["id"]: case for case in json.load(file)["cases"]}
    for line in sys.stdin:
        question = json.loads(line)
        record = {key[:-len("_b64")]: base64.b64decode(question[key]) for key in ("server_input_b64", "proxy_input_b64")}
        print(json.dumps({"differences": differences(curl_judge, cases[question["id"]], record)}), flush=True)


if __name__ == "__main__":
    main()
