"""The published shapes of what receivers take, as JSON Schemas; each says where it is written down."""

from __future__ import annotations

from typing import Any

_TIME = {"type": "string", "format": "date-time"}
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}

#: prometheus/alertmanager api/v2/openapi.yaml, postableAlerts: `labels` are required, names as Prometheus has them.
ALERTMANAGER: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["labels"],
        "additionalProperties": False,
        "properties": {
            "labels": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"},
                "additionalProperties": {"type": "string", "minLength": 1},
            },
            "annotations": _TEXTS,
            "startsAt": _TIME,
            "endsAt": _TIME,
            "generatorURL": {"type": "string"},
        },
    },
}

#: prometheus.io, Alertmanager configuration, webhook_config: the body, version "4".
WEBHOOK_4: dict[str, Any] = {
    "type": "object",
    "required": [
        "version",
        "groupKey",
        "truncatedAlerts",
        "status",
        "receiver",
        "groupLabels",
        "commonLabels",
        "commonAnnotations",
        "externalURL",
        "alerts",
    ],
    "properties": {
        "version": {"const": "4"},
        "groupKey": {"type": "string", "minLength": 1},
        "truncatedAlerts": {"type": "integer", "minimum": 0},
        "status": {"enum": ["firing", "resolved"]},
        "receiver": {"type": "string"},
        "groupLabels": _TEXTS,
        "commonLabels": _TEXTS,
        "commonAnnotations": _TEXTS,
        "externalURL": {"type": "string"},
        "alerts": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"],
                "properties": {
                    "status": {"enum": ["firing", "resolved"]},
                    "labels": _TEXTS,
                    "annotations": _TEXTS,
                    "startsAt": _TIME,
                    "endsAt": _TIME,
                    "fingerprint": {"pattern": "^[0-9a-f]{16}$"},
                },
            },
        },
    },
}

#: developer.pagerduty.com, Events API v2, Send an alert event.
PAGERDUTY: dict[str, Any] = {
    "type": "object",
    "required": ["routing_key", "event_action"],
    "additionalProperties": False,
    "properties": {
        "routing_key": {"type": "string", "minLength": 32, "maxLength": 32},
        "event_action": {"enum": ["trigger", "acknowledge", "resolve"]},
        "dedup_key": {"type": "string", "maxLength": 255},
        "payload": {
            "type": "object",
            "required": ["summary", "source", "severity"],
            "additionalProperties": False,
            "properties": {
                "summary": {"type": "string", "minLength": 1, "maxLength": 1024},
                "source": {"type": "string", "minLength": 1},
                "severity": {"enum": ["critical", "error", "warning", "info"]},
                "timestamp": _TIME,
                "component": {"type": "string"},
                "group": {"type": "string"},
                "class": {"type": "string"},
                "custom_details": {"type": "object"},
            },
        },
        "images": {"type": "array"},
        "links": {"type": "array", "items": {"type": "object", "required": ["href"]}},
        "client": {"type": "string"},
        "client_url": {"type": "string"},
    },
    "if": {"properties": {"event_action": {"const": "trigger"}}},
    "then": {"required": ["payload"]},
    "else": {"required": ["dedup_key"]},
}

#: docs.slack.dev, incoming webhooks and Block Kit: header and section blocks with their limits.
SLACK: dict[str, Any] = {
    "type": "object",
    "required": ["text", "blocks"],
    "additionalProperties": False,
    "properties": {
        "text": {"type": "string", "minLength": 1},
        "blocks": {
            "type": "array",
            "maxItems": 50,
            "items": {
                "oneOf": [
                    {
                        "required": ["type", "text"],
                        "properties": {
                            "type": {"const": "header"},
                            "text": {
                                "properties": {"type": {"const": "plain_text"}, "text": {"maxLength": 150}},
                            },
                        },
                    },
                    {
                        "required": ["type", "text"],
                        "properties": {
                            "type": {"const": "section"},
                            "text": {
                                "properties": {
                                    "type": {"const": "mrkdwn"},
                                    "text": {"minLength": 1, "maxLength": 3000},
                                }
                            },
                        },
                    },
                ]
            },
        },
    },
}

#: learn.microsoft.com, webhooks of Teams, and adaptivecards.io/schemas/adaptive-card.json 1.4 as far as it is used.
TEAMS: dict[str, Any] = {
    "type": "object",
    "required": ["type", "attachments"],
    "properties": {
        "type": {"const": "message"},
        "attachments": {
            "type": "array",
            "minItems": 1,
            "items": {
                "required": ["contentType", "content"],
                "properties": {
                    "contentType": {"const": "application/vnd.microsoft.card.adaptive"},
                    "content": {
                        "required": ["type", "version", "body"],
                        "properties": {
                            "type": {"const": "AdaptiveCard"},
                            "version": {"const": "1.4"},
                            "body": {
                                "type": "array",
                                "items": {
                                    "required": ["type", "text"],
                                    "properties": {
                                        "type": {"const": "TextBlock"},
                                        "text": {"type": "string", "minLength": 1},
                                        "color": {
                                            "enum": [
                                                "Default",
                                                "Dark",
                                                "Light",
                                                "Accent",
                                                "Good",
                                                "Warning",
                                                "Attention",
                                            ]
                                        },
                                        "weight": {"enum": ["Lighter", "Default", "Bolder"]},
                                        "size": {"enum": ["Default", "Small", "Medium", "Large", "ExtraLarge"]},
                                        "wrap": {"type": "boolean"},
                                    },
                                    "additionalProperties": False,
                                },
                            },
                            "actions": {
                                "items": {
                                    "required": ["type", "url"],
                                    "properties": {
                                        "type": {"const": "Action.OpenUrl"},
                                        "url": {"pattern": "^https?://"},
                                    },
                                }
                            },
                        },
                    },
                },
            },
        },
    },
}

#: standard-webhooks.com, specification: the body's three members.
STANDARD_WEBHOOK: dict[str, Any] = {
    "type": "object",
    "required": ["type", "timestamp", "data"],
    "additionalProperties": False,
    "properties": {
        "type": {"pattern": r"^[a-z0-9_]+(\.[a-z0-9_]+)*$"},
        "timestamp": _TIME,
        "data": {"type": "object"},
    },
}
