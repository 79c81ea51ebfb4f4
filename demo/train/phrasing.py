"""Many wordings of one question: templates for nouns, flags and goals, then greetings, politeness, lower case and typos."""

NOUN_FORMS = [
    "What is {x}?", "What's {x}?", "Explain {x}.", "Can you explain {x}?", "Please explain {x}.", "What does {x} mean?", "Tell me about {x}.", "Define {x}.",
    "What is meant by {x}?", "Can you tell me what {x} is?", "I want to know what {x} is.", "Do you know what {x} is?", "What do you know about {x}?",
    "Give me a short explanation of {x}.", "What exactly is {x}?", "How would you describe {x}?", "Could you explain to me what {x} is?", "Describe {x}.",
    "How does {x} work?", "I heard about {x}, what is it?", "What can you tell me about {x}?", "{x}?", "{x}", "What is the meaning of {x}?", "Explain {x} to me like I am five.",
    "What does the term {x} mean?", "Help me understand {x}.", "I don't understand {x}.", "I have never heard of {x}.", "What is the idea of {x}?", "What is {x} about?",
    "Who can explain {x}?", "Teach me about {x}.", "What is the definition of {x}?", "In LLM serving, what is {x}?", "Give me a definition of {x}.", "What does {x} do?",
]
WHY_FORMS = [
    "Why is {x} useful?", "What is {x} good for?", "Why use {x}?", "What is the benefit of {x}?", "What is the point of {x}?", "Why do we need {x}?", "Why does {x} help?",
    "What is the advantage of {x}?", "Why would I want {x}?", "Why is {x} important?", "What does {x} bring?", "What are the benefits of {x}?",
]
WHY_FOLLOW_UPS = [
    "Why is that useful?", "What is it good for?", "Why?", "And why does it help?", "What is the benefit?", "What's the point?", "Why do we need it?", "Why is it important?",
    "And what is the advantage?", "why is this good?", "What for?",
]
FLAG_FORMS = [
    "What does {x} do?", "What is {x} for?", "What is {x}?", "Explain {x}.", "What is the meaning of {x}?", "What does {x} mean?", "When do I use {x}?", "Tell me about {x}.",
    "How do I use {x}?", "{x}?", "{x}", "What's {x} for?", "Can you explain {x}?", "What can I do with {x}?", "What is the purpose of {x}?", "Describe {x}.", "What does {x} control?",
    "What does {x} set?", "I don't understand {x}.", "What happens with {x}?", "Why would I set {x}?", "I saw {x}, what is it?",
]
GOAL_FORMS = [
    "How do I {x}?", "How can I {x}?", "How to {x}?", "how to {x}", "I want to {x}.", "What must I do to {x}?", "Can you tell me how to {x}?", "Show me how to {x}.", "How do you {x}?",
    "What is the way to {x}?", "I would like to {x}.", "How would I {x}?", "What do I need to {x}?", "Is there a way to {x}?", "Can I {x}?", "I need to {x}.", "Please help me {x}.",
    "What's the easiest way to {x}?", "How does one {x}?", "Explain how to {x}.", "Is it possible to {x}?", "Let me {x}.", "I am trying to {x}.", "Tell me how to {x}.", "How should I {x}?",
    "What do I type to {x}?", "Which command do I use to {x}?", "Where can I {x}?",
]
PREFIXES = ["Hi, ", "Hello, ", "Hey, ", "Hello! ", "Hi! ", "Please: ", "Quick question: ", "Question: ", "So, ", "Ok, ", "Well, ", "Sorry, ", "One question: ", "Now, ", "Thanks. ",
            "I am new here. ", "Good morning. ", "Excuse me, ", "Tell me, ", "I wonder: ", "Next: ", "And ", "Also, ", "Dear model, ", "Cool. ", "Great, "]
SUFFIXES = [" Please.", " Thanks!", " Thank you.", " Keep it short.", " In one sentence.", " Answer briefly.", " I am a beginner.", " Be brief.", " in simple words", " please", " exactly",
            " for me", " Explain it simply.", " thanks", " I need it for work."]


def wordings_of(fact):
    """All plain wordings of a fact, with the likelier kinds listed more often."""
    result = list(fact["questions"]) * 3
    for noun in fact["nouns"]:
        result += [form.format(x=noun) for form in NOUN_FORMS]
    for flag in fact["flags"]:
        result += [form.format(x=flag) for form in FLAG_FORMS]
    for goal in fact["goals"]:
        result += [form.format(x=goal) for form in GOAL_FORMS]
    return [text[0].upper() + text[1:] if text[0].islower() and not text.startswith("how") else text for text in result]


def typo(rng, text):
    """Swaps, drops or doubles one letter inside one longer word."""
    words = text.split(" ")
    places = [i for i, word in enumerate(words) if len(word) > 4 and word.isalpha()]
    if not places:
        return text
    at = rng.choice(places)
    word = words[at]
    i = rng.randrange(1, len(word) - 2)
    words[at] = rng.choice([word[:i] + word[i + 1] + word[i] + word[i + 2:], word[:i] + word[i + 1:], word[:i] + word[i] + word[i:]])
    return " ".join(words)


def dress(rng, text, plain=0.3):
    """One question as different people would write it."""
    if rng.random() < plain:
        return text
    if rng.random() < 0.25:
        prefix = rng.choice(PREFIXES)
        keep_case = text[:2].isupper() or text[0] in "/-" or text.startswith(("I ", "Pagoda")) or prefix.endswith((". ", "! "))
        text = prefix + (text if keep_case else text[0].lower() + text[1:])
    if rng.random() < 0.15:
        text = text + rng.choice(SUFFIXES)
    if rng.random() < 0.12:
        text = typo(rng, text)
    if rng.random() < 0.35:
        text = text.lower()
    if rng.random() < 0.35:
        text = text.rstrip("?.!")
    elif rng.random() < 0.05:
        text = text.rstrip("?.!") + rng.choice(["??", " ?", "!", "...", "?!"])
    return text
