"""The networks in torch: what is trained, exported, and the oracle of every engine."""
