-- What waits for a person is looked at often, and is a few of many.

CREATE INDEX queue_given_up ON queue (due) WHERE state IN ('refused', 'declined', 'parked');
