"""All that is true only of Kie.ai: its wire format, its models and their rules, its prices."""
