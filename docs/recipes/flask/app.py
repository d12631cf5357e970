"""An API as many are: partners from a slow source, a chat that streams, a status. It knows nothing of caches."""
import json
import os
import time

from flask import Flask, Response, jsonify, request

app = Flask(__name__)
partners = {
    "p-1": {"id": "p-1", "org_id": "acme", "name": "Northwind", "status": "active"},
    "p-2": {"id": "p-2", "org_id": "acme", "name": "Contoso", "status": "active"},
    "p-3": {"id": "p-3", "org_id": "ember", "name": "Fabrikam", "status": "active"},
}


def slow():
    time.sleep(0.3)


@app.get("/api/partners")
def get_partners():
    slow()
    org = request.args.get("org_id", "")
    found = [p for p in partners.values() if p["org_id"] == org]
    # The one line that makes invalidation exact. Without it the list lives until its TTL.
    return jsonify(org_id=org, count=len(found), partners=found), 200, {"Cache-Groups": f'"org-{org}"'}


@app.put("/api/partners/<partner>")
def put_partner(partner):
    if partner not in partners:
        return jsonify(detail="no such partner"), 404
    partners[partner].update(request.get_json())
    return jsonify(partners[partner]), 200, {"Cache-Group-Invalidation": f'"org-{partners[partner]["org_id"]}"'}


@app.post("/api/chat")
def chat():
    slow()
    words = f"You asked: {request.get_json()['message']}".split()

    def say():
        for word in words:
            yield f"data: {json.dumps({'delta': word + ' '})}\n\n"
            time.sleep(0.02)
        yield "data: [DONE]\n\n"

    return Response(say(), mimetype="text/event-stream")


@app.get("/api/status")
def status():
    return jsonify(status="up")


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "5000")), threaded=True)
