"""Chats with tools: the question names the values, and the call copies them."""

import json

from outside import NAMES, CITIES, PLACES, SUBJECTS, THINGS, made_up_word, name_of_place, some_words

CURRENCIES = "USD EUR GBP JPY CHF CAD AUD SEK NOK INR CNY BRL MXN PLN CZK".split()
MAIL_ENDS = "example.com mail.org test.net pagoda.dev work.io".split()


def number(rng, digits=4):
    return rng.randint(0, 10 ** rng.randint(1, digits))


def weather(rng):
    key, city = rng.choice(["city", "city", "location"]), name_of_place(rng)
    name = rng.choice(["get_weather", "get_weather", "get_current_weather", "weather"])
    fields, arguments, extra = {key: "string"}, {key: city}, ""
    if rng.random() < 0.4:
        fields["unit"] = "string"
        if rng.random() < 0.6:
            arguments["unit"] = rng.choice(["celsius", "fahrenheit"])
            extra = " in " + arguments["unit"]
    ask = rng.choice(["What is the weather in {c}{u}?", "What's the weather like in {c}{u}?", "How is the weather in {c}{u}?", "Weather in {c}{u}?", "Tell me the weather in {c}{u}.",
                      "Give me the weather for {c}{u}.", "How warm is it in {c}{u}?", "What is the temperature in {c}{u}?", "Is it cold in {c}{u}?", "What's the forecast for {c}{u}?",
                      "I am in {c}, what is the weather{u}?", "Is it raining in {c}{u}?", "Check the weather in {c}{u}, please."])
    degrees, sky = rng.randint(-9, 39), rng.choice(["sunny", "cloudy", "rainy", "clear", "windy", "snow", "fog"])
    result, answer = rng.choice([({"temperature": degrees, "condition": sky}, f"In {city} it is {degrees} degrees and {sky}."),
                                 ({"temperature": degrees}, f"In {city} it is {degrees} degrees."), ({"condition": sky}, f"In {city} it is {sky}.")])
    return name, fields, ask.format(c=city, u=extra), arguments, result, answer


def clock(rng):
    key = rng.choice(["city", "timezone", "location"])
    place = name_of_place(rng)
    if key == "timezone" and rng.random() < 0.5:
        place = rng.choice(["Europe/", "America/", "Asia/", "Africa/"]) + place
    ask = rng.choice(["What time is it in {c}?", "Tell me the time in {c}.", "What is the time in {c}?", "Current time in {c}?", "How late is it in {c}?", "What's the local time in {c}?",
                      "Which time is it now in {c}?", "Give me the current time for {c}."])
    time = f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}"
    return rng.choice(["get_time", "get_time", "get_current_time", "clock"]), {key: "string"}, ask.format(c=place), {key: place}, {"time": time}, f"In {place} it is {time}."


def search(rng):
    topic = rng.choice([lambda: some_words(rng, 1, 3), lambda: rng.choice(SUBJECTS), lambda: rng.choice(THINGS) + " in " + name_of_place(rng), lambda: made_up_word(rng) + " " + rng.choice(THINGS)])()
    ask = rng.choice(["Search for {t}.", "Search the web for {t}.", "Look up {t}.", "Find {t}.", "Please search for {t}.", "Can you look up {t}?", "Find something about {t}.", "Google {t}."])
    found = some_words(rng, 2, 4)
    return rng.choice(["search", "search", "web_search", "search_web"]), {"query": "string"}, ask.format(t=topic), {"query": topic}, {"result": found}, f"I found: {found}."


def currency(rng):
    amount, source, target = number(rng), *rng.sample(CURRENCIES, 2)
    ask = rng.choice(["Convert {a} {s} to {t}.", "How much is {a} {s} in {t}?", "What is {a} {s} in {t}?", "Change {a} {s} into {t}.", "{a} {s} to {t}", "Exchange {a} {s} for {t}."])
    fields = {"amount": "number", "from": "string", "to": "string"}
    value = number(rng)
    return "convert_currency", fields, ask.format(a=amount, s=source, t=target), {"amount": amount, "from": source, "to": target}, {"result": value}, f"{amount} {source} is {value} {target}."


def arithmetic(rng):
    name, sign, asks = rng.choice([
        ("add", "+", ["What is {a} + {b}?", "Add {a} and {b}.", "What is {a} plus {b}?", "Sum {a} and {b}.", "Calculate {a} + {b}."]),
        ("multiply", "*", ["What is {a} * {b}?", "Multiply {a} and {b}.", "What is {a} times {b}?", "Multiply {a} by {b}."])])
    a, b, value = number(rng), number(rng), number(rng)
    kind = rng.choice(["number", "integer"])
    return name, {"a": kind, "b": kind}, rng.choice(asks).format(a=a, b=b), {"a": a, "b": b}, {"result": value}, f"The result is {value}."


def email(rng):
    to = (rng.choice(NAMES).lower() if rng.random() < 0.8 else made_up_word(rng)) + "@" + rng.choice(MAIL_ENDS)
    subject = some_words(rng, 1, 3)
    ask = rng.choice(["Send an email to {t} with the subject {s}.", "Email {t} about {s}.", "Write an email to {t} about {s}.", "Send a mail to {t}, subject {s}."])
    return "send_email", {"to": "string", "subject": "string"}, ask.format(t=to, s=subject), {"to": to, "subject": subject}, {"status": "ok"}, f"Done: the email to {to} was sent."


def timer(rng):
    minutes = rng.randint(1, 240)
    ask = rng.choice(["Set a timer for {m} minutes.", "Start a timer of {m} minutes.", "Timer for {m} minutes, please.", "Wake me in {m} minutes.", "Remind me in {m} minutes.",
                      "Please set a {m} minute timer.", "Set the timer to {m} minutes."])
    return "set_timer", {"minutes": rng.choice(["integer", "number"])}, ask.format(m=minutes), {"minutes": minutes}, {"status": "ok"}, f"Done: the timer runs for {minutes} minutes."


def lights(rng):
    room, state = rng.choice(["kitchen", "bedroom", "garden", "office", "hall", "bathroom", "garage", made_up_word(rng)]), rng.choice(["on", "off"])
    ask = rng.choice(["Turn {s} the light in the {r}.", "Turn the light in the {r} {s}.", "Switch {s} the {r} light.", "Lights {s} in the {r}.", "Turn the {r} light {s}, please."])
    return rng.choice(["set_light", "turn_light"]), {"room": "string", "state": "string"}, ask.format(r=room, s=state), {"room": room, "state": state}, {"status": "ok"}, f"Done: the light in the {room} is {state}."


def generic(rng):
    """A tool never seen elsewhere: get_something(key)."""
    noun, key = rng.choice(THINGS) if rng.random() < 0.6 else made_up_word(rng), rng.choice(["name", "id", "symbol", "user", "title", "city", "country"])
    value = rng.choice([rng.choice(NAMES), rng.choice(PLACES), made_up_word(rng), made_up_word(rng).upper()[:4], name_of_place(rng)])
    ask = rng.choice(["Get the {n} of {v}.", "What is the {n} of {v}?", "Show me the {n} for {v}.", "Find the {n} of {v}.", "Give me the {n} for {v}.", "I need the {n} of {v}."])
    found = str(number(rng)) if rng.random() < 0.5 else some_words(rng, 1, 2)
    return f"get_{noun}", {key: "string"}, ask.format(n=noun, v=value), {key: value}, {noun: found}, f"The {noun} of {value} is {found}."


KINDS = [weather, weather, weather, clock, clock, search, search, currency, arithmetic, email, timer, lights, generic, generic]


def as_tool(name, fields):
    properties = {key: {"type": kind} for key, kind in fields.items()}
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": properties, "required": list(fields)}}}


def tool_case(rng):
    """(tools, question, name, arguments, result, answer): the wanted tool among up to two others."""
    name, fields, ask, arguments, result, answer = rng.choice(KINDS)(rng)
    tools = {name: as_tool(name, fields)}
    for _ in range(rng.choice([0, 0, 1, 1, 2])):
        other, other_fields = rng.choice(KINDS)(rng)[:2]
        if other not in tools and other.split("_")[-1] != name.split("_")[-1] and "search" not in other:
            tools[other] = as_tool(other, other_fields)
    listed = list(tools.values())
    rng.shuffle(listed)
    return listed, ask, name, arguments, result, answer


def call_message(name, arguments):
    call = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    return {"role": "assistant", "content": f"<tool_call>\n{call}\n</tool_call>"}
