"""A search engine that finds nothing: the least that lets a real Argilla server start and store.

Argilla keeps records in its own database and hands a copy to OpenSearch. What is tested here is
Argilla's own validation, database and answers, none of which read that copy. So this answers the
calls that write it (index, mapping, bulk, update, delete) as OpenSearch does when all is well, and
every search with no hits. It checks nothing and keeps nothing.

    python search_stand_in.py PORT
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        path = self.path.split("?")[0].strip("/")
        if not path:
            found = {"name": "stand-in", "version": {"number": "2.4.0", "distribution": "opensearch"}}
        elif path.endswith("_bulk"):
            found = {"took": 0, "errors": False, "items": list(bulk_results(body))}
        elif path.endswith("_search"):
            found = {"took": 0, "timed_out": False, "hits": {"total": {"value": 0}, "hits": []}}
        elif "_update" in path or "_doc" in path:
            found = {"result": "updated", "_shards": {"total": 1, "successful": 1, "failed": 0}}
        else:
            found = {"acknowledged": True, "shards_acknowledged": True, "index": path}
        text = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

    def log_message(self, *_):
        pass


def bulk_results(body):
    """One result for each action; all but deletions are followed by a document."""
    lines = iter(line for line in body.split(b"\n") if line)
    for line in lines:
        (kind, about), = json.loads(line).items()
        if kind != "delete":
            next(lines, None)
        yield {kind: {"_index": about.get("_index"), "_id": about.get("_id"), "status": 200}}


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answers).serve_forever()
