"""The application of the classic lesson on relationships with Flask-SQLAlchemy, with JSON in place of pages.

BENCHMARK_DATABASE is the URL of its database: mysql+pymysql://...
"""

import os

from flask import Flask, jsonify, request
from flask_sqlalchemy import SQLAlchemy

app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["BENCHMARK_DATABASE"]
db = SQLAlchemy(app)


class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    username = db.Column(db.String(50), unique=True, nullable=False)
    posts = db.relationship("Post", backref="user", lazy=True, cascade="all, delete")


class Post(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    title = db.Column(db.String(100), nullable=False)
    content = db.Column(db.Text, nullable=False)
    user_id = db.Column(db.Integer, db.ForeignKey("user.id"), nullable=False)

    def as_dict(self):
        return {"id": self.id, "title": self.title, "content": self.content, "user_id": self.user_id}


@app.get("/posts/<int:post_id>")
def get_post(post_id):
    return jsonify(db.get_or_404(Post, post_id).as_dict())


@app.post("/posts")
def create_post():
    body = request.get_json()
    post = Post(title=body["title"], content=body["content"], user_id=body["user_id"])
    db.session.add(post)
    db.session.commit()
    return jsonify(post.as_dict()), 201
