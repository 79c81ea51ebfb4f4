"""Questions outside the model's knowledge, and words to fill into copying tasks. Only variety matters here."""

PLACES = """France Germany Italy Spain Japan Brazil Canada India China Norway Sweden Poland Kenya Egypt Peru Chile Mexico Austria Greece Turkey Portugal Ireland Iceland
Finland Denmark Cuba Ghana Nepal Vietnam Thailand Australia Russia Ukraine Belgium Morocco Nigeria Argentina Colombia Hungary Romania Texas California Europe Africa Asia""".split()
CITIES = """Paris London Berlin Rome Madrid Tokyo Vienna Lisbon Oslo Dublin Cairo Athens Prague Warsaw Sydney Boston Chicago Seattle Denver Dallas Miami Toronto Montreal Vancouver
Lima Bogota Santiago Havana Nairobi Lagos Accra Tunis Rabat Dakar Delhi Mumbai Seoul Beijing Shanghai Hanoi Bangkok Manila Jakarta Singapore Melbourne Perth Auckland Wellington
Helsinki Stockholm Copenhagen Brussels Amsterdam Rotterdam Hamburg Munich Cologne Frankfurt Zurich Geneva Milan Naples Turin Venice Florence Barcelona Valencia Seville Porto Lyon
Marseille Nice Bordeaux Budapest Bucharest Sofia Belgrade Zagreb Kyiv Riga Vilnius Tallinn Minsk Istanbul Ankara Tehran Baghdad Dubai Doha Riga Moscow Kazan Austin Houston Phoenix
Atlanta Detroit Memphis Portland Osaka Kyoto Nagoya Taipei Edinburgh Glasgow Cardiff Belfast Leeds Bristol Oxford Cambridge Quito Caracas Montevideo Brasilia Salvador Recife""".split()
PEOPLE = """Napoleon Einstein Shakespeare Mozart Beethoven Newton Darwin Cleopatra Caesar Picasso Galileo Aristotle Plato Columbus Gandhi Lincoln Washington Churchill Kennedy Madonna
Elvis Messi Ronaldo Federer Beyonce Obama Trump Biden Merkel Tesla Edison Curie Turing Dante Homer Goethe Bach Chopin Rembrandt""".split()
NAMES = """Anna Bob Carla David Emma Felix Greta Hugo Ida Jonas Karl Lena Maria Nils Olga Peter Quinn Rosa Sam Tina Uwe Vera Walter Xenia Yara Zoe Alice Ben Chloe Daniel Elena Frank
George Hannah Ivan Julia Kevin Laura Martin Nina Oscar Paul Rita Simon Tom Ursula Victor Wanda Mia Leo Lucas Sofia Noah Eva Max Clara Omar Aisha Ravi Priya Kenji Yuki""".split()
THINGS = """apple bread cheese pizza soup cake coffee tea wine beer banana chair table car bicycle plane train ship guitar piano violin football tennis chess gold silver iron water fire
moon sun star planet river mountain ocean forest tree rose dog cat horse elephant tiger shark whale eagle snake spider bee dinosaur volcano earthquake rainbow winter summer
bank money tax lawyer doctor heart brain blood bone vitamin virus fever headache medicine insurance mortgage inflation stock bitcoin camera phone television radio printer
kitchen garden house window bridge castle pyramid temple church museum movie song novel poem painting dance fashion shoe shirt hat ring watch clock calendar holiday birthday
school university teacher student exam history physics chemistry biology geometry algebra calculus philosophy religion politics election democracy war peace law police""".split()
SUBJECTS = ["photosynthesis", "gravity", "evolution", "the big bang", "quantum mechanics", "the stock market", "the French revolution", "the Roman empire", "World War II", "the moon landing",
            "climate change", "the speed of light", "a black hole", "DNA", "the periodic table", "the human heart", "the pyramids", "the Olympic games", "the world cup", "blockchain",
            "Kubernetes networking", "Docker", "Excel", "Photoshop", "Java", "JavaScript", "HTML", "SQL", "Git", "Windows", "macOS", "the iPhone", "Instagram", "YouTube", "Netflix", "Amazon",
            "Tesla cars", "Microsoft Word", "Rust", "PHP", "a compiler", "an operating system", "a database", "React", "TypeScript", "a linked list", "binary search", "recursion", "PyTorch",
            "a convolutional network", "diffusion models", "Ollama", "TensorRT", "Redis", "Kafka", "nginx", "a firewall", "TCP", "DNS", "a router", "Bluetooth", "Wi-Fi", "5G"]
ACTIONS = ["bake bread", "cook rice", "make a pizza", "fix a bike", "change a tire", "learn French", "learn the piano", "lose weight", "run a marathon", "plant a tree", "grow tomatoes",
           "write a novel", "find a job", "buy a house", "save money", "pay my taxes", "train a dog", "clean a window", "paint a wall", "tie a tie", "swim faster", "sleep better", "make coffee",
           "boil an egg", "travel to Japan", "get a passport", "learn to draw", "repair my phone", "reset my password", "install Windows", "sort a list in Java", "write a web page",
           "center a div", "reverse a string", "make a website", "fly a plane", "build a house", "cut hair", "knit a sweater", "play chess", "win the lottery", "become a doctor",
           "get rich", "stop smoking", "cook pasta", "make soup", "book a flight", "rent a car", "cancel my subscription", "call the police", "send a letter", "tune a guitar"]
TEMPLATES = ["What is the capital of {place}?", "Where is {place}?", "How many people live in {place}?", "What language do people speak in {place}?", "Who is the president of {place}?",
             "What is the weather in {city}?", "How far is {city} from {city2}?", "What can I see in {city}?", "Who was {person}?", "Who is {person}?", "When was {person} born?",
             "When did {person} die?", "What did {person} invent?", "Tell me about {person}.", "Tell me about {place}.", "What is a {thing}?", "What is {subject}?", "Explain {subject}.",
             "How does {subject} work?", "How does a {thing} work?", "How much does a {thing} cost?", "What is the best {thing}?", "Who invented the {thing}?", "What color is a {thing}?",
             "Why is the {thing} so big?", "How do I {action}?", "How can I {action}?", "I want to {action}.", "What is the best way to {action}?", "Can you {action}?", "Help me {action}.",
             "What is the history of {place}?", "Who won the world series in {year}?", "What happened in {year}?", "Who won the election in {year}?", "Write an essay about {subject}.",
             "Write a story about a {thing}.", "Write a Python function for {subject}.", "Translate {thing} into French.", "What is the opposite of {thing}?", "How old is {person}?",
             "What do you think about {subject}?", "Recommend a {thing}.", "What is the population of {city}?", "Which {thing} should I buy?", "Is {person} still alive?",
             "How tall is {person}?", "Where can I buy a {thing}?", "What time is it in {city}?", "What is the square root of {number}?", "What is {number} times {number2}?",
             "How many {thing}s are there?", "Summarize the history of {subject}.", "What is the price of {thing}?", "Do you like {thing}?", "What is your favorite {thing}?",
             "Define {thing}.", "{thing}?", "{subject}", "Tell me about {subject}.", "What is the {thing} of {place}?", "Is it going to rain in {city}?", "What does {weird} mean?",
             "What is {weird}?", "What does --{weird} do?", "What is /{weird}?", "Explain {weird}.", "How do I {weird}?", "Who is {name}?", "How old is {name}?", "Where does {name} live?",
             "What is the meaning of life?", "Why is the sky blue?", "How many days are in a year?", "What day is it today?", "Which year is it?", "What is the news today?", "Sing me a song.",
             "How many legs has a {thing}?", "Compare {thing} and {thing2}.", "Give me a recipe for {thing}.", "Tell me a story.", "Tell me a fun fact.", "What is love?", "Who is the king of {place}?",
             "Which is better, {subject} or {thing}?", "Write code for a {thing}.", "Write me an email to {name}.", "What is {person} known for?", "Name three {thing}s.", "What is the {thing}?"]
SYLLABLES = "ba be bi bo ka ke ki ko la le li lo lu ma me mi mo mu na ne ni no nu ra re ri ro ru sa se si so su ta te ti to tu va ve vi vo za zo da de di do du fa fe fi fo ga go gu ha he hi ho pa pe pi po ver ton ham dor lin mar sel qua stan burg ford ley wick den".split()
WORDS = """red green blue small big old new fast slow happy quiet bright dark cold warm river stone paper lamp cloud bird fish door road city light music dream letter number table
garden mirror bottle candle basket pencil market harbor island bridge valley meadow copper silver velvet winter summer autumn morning evening
one two three four five six seven today tomorrow never always maybe very good nice hello world cat dog sun moon tree house coffee bread apple orange""".split()


def made_up_word(rng):
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.choice([2, 2, 3])))


def name_of_place(rng):
    return rng.choice(CITIES) if rng.random() < 0.8 else made_up_word(rng).capitalize()


def some_words(rng, least, most):
    pool = [rng.choice(WORDS) if rng.random() < 0.85 else made_up_word(rng) for _ in range(rng.randint(least, most))]
    return " ".join(pool)


def unknown_question(rng):
    text = rng.choice(TEMPLATES).format(
        place=rng.choice(PLACES), city=rng.choice(CITIES), city2=rng.choice(CITIES), person=rng.choice(PEOPLE), thing=rng.choice(THINGS), thing2=rng.choice(THINGS),
        subject=rng.choice(SUBJECTS), action=rng.choice(ACTIONS), year=rng.randint(1700, 2030), number=rng.randint(12, 999), number2=rng.randint(12, 99), name=rng.choice(NAMES),
        weird=made_up_word(rng))
    return text[0].upper() + text[1:]
