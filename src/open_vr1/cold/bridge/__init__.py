"""The bridge from pictures to text: `passes` asks the teachers, `executors` says where from, `replies` keeps what they said."""
