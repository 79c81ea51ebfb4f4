"""Sentence grammars for the facts which people ask about in the most different ways: [a|b] is a choice, [a|] may be left out.

Keyed by the beginning of the fact's answer.
"""

import re

P = "[Pagoda|Pagoda|Pagoda|it|this server|this engine|the server|this project|this software]"
START = "[start|run|launch|bring up|fire up|boot|spin up|turn on|execute]"
SHOW = "[How do I|How can I|How would I|How could I|How do you|How does one|How should I|Tell me how to|Show me how to|I want to|I'd like to|I need to|Please tell me how to|What do I do to|Is there a way to|What is the way to|What's the command to|Which command do I need to|What must I type to|Could you tell me how to]"
FLAG = "[Which|What] [flag|option|switch|setting|argument|parameter] [sets|changes|controls|configures|defines|is for|do I need for|do I use for|decides on|determines]"
PATH = "[Which|What] [endpoint|path|route|URL|address]"

GRAMMARS = {
    "Pagoda is an LLM inference": [
        "[So, |]what [kind of |sort of |type of |]thing is Pagoda[, in short|, please|]?", "[What|So what] is [this|that] Pagoda [engine|server|tool|program|software|thing|project][, exactly|]?",
        "[Can|Could|Would] you [explain|describe|summarize|tell me] what Pagoda [is|does|is for|is about|is good for]?", "[I saw|I found|I read about|My friend mentioned|My boss told me about|I heard of|I was told about] Pagoda[, what is it|. What is it|. What does it do|, what is that|. Can you explain it|, what's that about]?",
        "[In one sentence|In short|Briefly|In a few words], what [is|does] Pagoda [do|about|for|]?", "What [problem does Pagoda solve|do people use Pagoda for|is the purpose of Pagoda|is the goal of Pagoda|is the idea behind Pagoda]?",
        "[Which|What] [kind|sort|type] of [software|program|tool|engine|project|application] is [Pagoda|this]?", "[Describe|Summarize|Explain|Introduce] [Pagoda|the Pagoda engine|this project] [to me|in one sentence|in a few words|briefly|]."],
    "Pagoda is written in C++20": [
        f"[Which|What|In which|In what] [programming |computer |coding |]language [is|was] {P} [written|coded|implemented|built|developed|programmed|made] [in|with|]?",
        f"[Which|What] [programming |coding |]language [does|did] {P} [use|rely on|need]?", f"[Is|Was] {P} [written|coded|made|built|implemented] in [C++|C|Rust|Go|Python|Java|C++20]?",
        "[Which|What] [programming |]language [did they use|was chosen|was used|did the authors use] [for|to build|to make|to code] [Pagoda|this|it]?", "[What|Which] language is [the source|the source code|the code|the code base] [of Pagoda |]in?"],
    "No. Pagoda is one binary and needs no Python": [
        f"[Do|Must|Should] I [need|have to have|install|have to install|have] [Python|a Python environment|pip|a Python interpreter][ for this| for Pagoda| to run it| to use Pagoda| first| at run time|]?",
        f"[Does|Will|Would] {P} [need|require|use|want|depend on|work without|run without|call] [Python|pip|a Python install]?", "[Is|Are] [Python|pip|Python packages] [needed|required|necessary|used][ by Pagoda| at run time| to run this| for this|]?",
        "[Can|Could] I [run|use|start] [it|Pagoda|this] [without|if I have no|with no] Python[ installed| on my machine|]?"],
    "Pagoda is under the Apache": [
        f"[Which|What] [license|licence|terms] [does {P} have|is {P} under|applies|covers Pagoda|is used|do you use]?", f"[Under|With] [which|what] [license|licence|terms] [is|was] {P} [published|released|distributed|shared|available]?",
        f"[Is|Is the code of] {P} [open source|free|free to use|open|Apache licensed|MIT licensed|GPL]?", "[May|Can|Could] I [use|sell|modify|change|share|copy|fork|redistribute] [Pagoda|this code|the code|it][ at work| in my company| in my product| for free|]?"],
    "Pagoda listens on port 8000": [
        f"[Which|What|On which|On what] port [is|will be|does] {P} [on|listen on|use|open|run on|listening on|serve on|take]?", "[What|Which] is the [default|standard|usual|normal] port[ number| of the server| of Pagoda|]?",
        "[Which|What] port [do I|should I|must I|can I] [connect to|use|open|call|curl|point my client at|forward]?", "[By default|If I change nothing|Without any flags|Normally|Out of the box], [which|what] port [is used|does it use|is it|does the server listen on|do I get]?",
        "[Where|At which address] [is|can I reach|do I find|does] [the server|Pagoda] [listening|by default|listen|]?"],
    "Run ./pagoda serve: it": [
        f"{SHOW} {START} [Pagoda|the server|this server|it|the engine|the demo|the demo model|this thing]?", f"[What|Which] [command|line] [do I|should I|must I] [run|type|enter|use] [first|to begin|to {START} it|to get the server up|to try it]?",
        f"{SHOW} [get|have] [the server|Pagoda|it|the demo] [up|running|up and running|started|working|to run]?", "[I am new|I have just installed it|I downloaded it|I have the source|I have the code|I got the repository], [what now|how do I start|what do I run|what is next|what do I type|how do I run it]?",
        f"{SHOW} [build|compile|install|set up|try|try out|use|get started with] [Pagoda|it|this|the project]?"],
    "Run ./pagoda serve PATH": [
        f"{SHOW} [serve|load|run|use|host|open|deploy|try|start it with] [my own|my|another|a different|a custom|some other|a local|a downloaded|my fine-tuned] [model|weights|checkpoint|Llama model|Llama]?",
        "[I have|There is|I downloaded|I own|I trained] [a model|weights|a checkpoint|a Llama model|my model|safetensors files] [on disk|in a directory|in a folder|here|on my machine|locally], how [do I|can I|would I|should I] [serve|load|use|run] [it|them|that|this]?",
        f"[Can|Could|Will] {P} [serve|load|run|use|take] [my|my own|another|a different|a local|my local] [model|weights|checkpoint|model folder]?", "How do I [tell|make|get|let] [Pagoda|the server] [to |][use|serve|load] [another|my|my own] [model|weights|folder|model folder]?"],
    "Run pagoda chat": [
        f"{SHOW} [chat|talk|speak|converse|have a chat|have a talk] [with|to] [the model|it|the server|the demo model|you|a model][ in the terminal| from a terminal| on the command line| in my console| from the shell|]?",
        "[Is there|Do you have|Does Pagoda have] a [chat|command line chat|terminal chat|chat command|chat client|command for chatting|console chat]?", "[Which|What] command [is for|opens|starts|gives me] [chatting|a chat|the chat|a chat in the terminal]?"],
    "Run ./test": [
        f"{SHOW} [run|execute|start|launch] [the|all the|all|every|your] [tests|test suite|unit tests|checks|test]?", "[Which|What] [command|script|program] [runs|starts|executes] [the tests|all tests|the test suite|every test]?",
        "How [is|are] [Pagoda|the code|the tests|it] [tested|run|checked|executed]?", f"{SHOW} [test|check|verify] [Pagoda|the build|my build|that it works|the project|my changes]?"],
    "Today Pagoda serves models of the Llama": [
        f"[Which|What|What kinds of|Which kinds of|Which types of] [models|model families|architectures|model architectures|LLMs|networks] [does|can|will|could] {P} [support|run|serve|load|handle|serve today|run today|support now|run at the moment]?",
        "[Can|Does|Will] [Pagoda|it|the server] [serve|run|support|load] [Llama|Llama 3|Llama models|the Llama family|Mistral|Qwen|Gemma|other models|any model]?", "[Which|What] [models|architectures] [are supported|work|can be served|are possible|can I use]?"],
    "Today Pagoda runs on the CPU": [
        f"[Do I|Must I|Does one|Does {P}] [need|have to have|require|want] a [GPU|graphics card|video card|NVIDIA card|fast GPU|big GPU]?", f"[Will|Does|Can|Would] {P} [run|work] [without a GPU|on a CPU|on the CPU|on my laptop|on a small machine|without a graphics card|without CUDA|on a normal computer]?",
        "[I have no|I don't have a|There is no|My laptop has no|My server lacks a] [GPU|graphics card|NVIDIA card], [does it work|can I use Pagoda|is that ok|will it run|is that a problem|can I still run it]?", f"[What|Which] [hardware|machine|computer|device|processor] [does {P} need|do I need|does it run on|is needed|is required|does {P} use]?"],
    "Yes. Pagoda speaks the OpenAI API": [
        f"[Is|Will] {P} [OpenAI compatible|compatible with OpenAI|work with OpenAI clients|work with the OpenAI library|be compatible with the OpenAI API]?", f"[Does|Can] {P} [speak|support|offer|understand|implement|have] [the|an] OpenAI [API|protocol|interface|compatible API]?",
        "[Can I|May I|Could I|How do I] [use|keep|connect|reuse] [my|an|the|my existing] OpenAI [client|code|SDK|library|app|program][ with Pagoda| here| with this server|]?", "[What|Which] base URL [do I use|should I set|must my client use|is it|does my client need]?",
        "[My program|My app|My code|My script|Our client] [uses|was written for|talks to|calls] [OpenAI|the OpenAI API|the OpenAI library], [does that work|can I use it here|will that work|can it talk to Pagoda|is that ok]?"],
    "Pagoda uses the same commands": [
        "[Can|Could|Does|Will|Would] Pagoda [replace|stand in for|take the place of|be used instead of|substitute] [vLLM|vllm serve|vllm]?", "[I use|We use|We run|Our team runs|We have|I come from] [vLLM|vllm], [can I|can we|could I|should we|is it easy to] [switch|switch to Pagoda|move|migrate|change to Pagoda|use Pagoda]?",
        "[How|In what way] [is|does] Pagoda [like|compare to|differ from|relate to|similar to|different from|compare with] [vLLM|vllm]?", "[Do|Will] [my|the|our] vLLM [flags|commands|dashboards|scripts|settings|metrics|options] [work|still work|keep working|work with Pagoda|work here]?"],
    "A greedy or seeded request": [
        "[Does|Will|Can|Would] [the load|a busy server|other traffic|the batch|other users|concurrency|heavy load|batching] [change|affect|alter|influence|disturb] [my|the] [answer|answers|output|result|tokens|results]?",
        "[Are|Is] [the answers|the answer|the output|the results|Pagoda's answers|greedy answers] [reproducible|deterministic|stable|repeatable|the same every time|always the same|independent of the load]?",
        "[Do I|Will I|Can I] [get|receive|see] the same [answer|output|tokens|result] [every time|again|under load|when the server is busy|with many users|alone or in a batch|twice]?", "[What|Which] [makes Pagoda special|is Pagoda's promise|sets Pagoda apart|is the main feature of Pagoda|is the best thing about Pagoda]?"],
    "I am the Pagoda demo model": [
        "[Who|What|Who or what|Which model|What model|Which AI|What kind of model] are you[ really| exactly| please|]?", "[Who|What|Which model|What model] am I [talking|speaking|writing|chatting] [to|with][ here| now| please|]?", "[Please |Can you |Could you |][introduce|describe|present] yourself[ please|]?",
        "[Do you have|What is|What's|Tell me|Say|Give me] [a|your|the] name[ please|]?", "[Are you|Is this] [a bot|an AI|a person|a human|a real person|a machine|a language model|an assistant|a program]?", "[What|Which] [model|AI|assistant|bot] is [this|answering|answering me|here|running]?"],
    "I answer short questions": [
        "[What|Which things|What else|What all] can you [do|do for me|answer|help with|help me with|tell me|talk about|explain]?", "[What|Which] [topics|subjects|things|questions|areas] [do you know|can you answer|can I ask about|do you understand|do you cover|can I ask]?",
        "How can you [help|help me|assist me|be useful|be of use]?", "[What|Which] are your [skills|abilities|talents|strengths|features|capabilities|limits]?", "[Can|Could|Will] you [help|assist|support] me[ please| with something|]?"],
    "No. I am the Pagoda demo model, a tiny model trained": [
        "[Are you|Is this|Am I talking to|You are] [really |just |actually |the same as |based on |made by |the model |]{x}[, right|, or not|, aren't you|]?".format(x="[ChatGPT|GPT-4|GPT-5|OpenAI|Claude|Gemini|Llama|Mistral|Qwen|DeepSeek|Anthropic|Google|Meta|Siri|Alexa|Copilot|GPT]")],
    "I have about": [
        "[How many|What number of|Tell me how many] [parameters|weights|params] [do you have|does the demo model have|are in you|has the demo model|are there in you|does this model have]?", "How [big|large|small|tiny|heavy] [are you|is the demo model|is this model|is the built-in model]?",
        "[What|Tell me|Say] [is |]your [size|parameter count|number of parameters|model size]?", "[What|Tell me|Say] [is |]the [size|parameter count|number of parameters] of [the demo model|this model|you]?"],
    "I was trained on one": [
        "[How|Where|By whom|On what|On which data] [were you|was the demo model|was this model] [trained|made|taught|created|built]?", "[Who|What] [made|trained|created|built|taught|wrote] [you|the demo model|this model]?", "[Where|Which] [are|do I find|is] [the training scripts|your training data|the scripts|the training code]?"],
    "No, I make mistakes": [
        "[Can|Should|May|Could] I [trust|rely on|believe|depend on|verify|check] [you|your answers|what you say|your output|that]?", "[Are|Is] [you|your answers|what you say|that|this] [always |][right|correct|true|reliable|accurate|sure|certain]?", "[Do|Will|Can] you [make|ever make|sometimes make] [mistakes|errors]?", "How [reliable|accurate|good|trustworthy] [are you|are your answers]?"],
    "/v1/chat/completions": [
        f"{PATH} [is for|handles|takes|do I use for|do I call for|should I post to for|accepts|is meant for|serves] [chat|chats|chat messages|a chat|messages|conversations|chatting]?", "[Where|To which path|To which URL|To which endpoint] [do I|should I|must I|can I] [send|post|put|submit] [chat messages|my messages|a chat request|a chat|a list of messages|a conversation]?"],
    "/v1/completions continues": [f"{PATH} [is for|handles|takes|do I use for|accepts|continues|completes] [plain text|a plain prompt|raw text|text completion|raw prompts|a text prompt]?", "[Where|To which path] do I [send|post] [a plain prompt|raw text|plain text|a text to complete]?"],
    "/v1/models lists": [f"{PATH} [lists|shows|returns|gives me|tells me|has|names] [the models|all models|the available models|the served models|the model names|the model list]?", "[Where|How] [do I|can I] [see|find|list|get|query|read] [the models|all models|the served models|which models there are|the model name|the available models]?"],
    "/health answers": [
        f"{PATH} [is|gives|tells|shows|serves|do I use for|is for|checks|do I poll for] [the health check|health checks|liveness|a liveness probe|the health|whether the server is alive|whether it is up|monitoring health|a readiness probe]?",
        "[How|Where] [do I|can I|does a load balancer|does Kubernetes|does my probe] [check|see|test|know|find out] [that|whether|if] [the server|Pagoda|it|the engine] is [alive|up|healthy|running|ok]?", "[What|Which URL] [do I|should I|can I] [use|take|configure|call] [as a|for a|for the] [health check|liveness probe|health probe|readiness probe]?"],
    "/metrics gives": [
        f"{PATH} [has|gives|exposes|shows|serves|offers|is for|returns] [the metrics|metrics|the counters|Prometheus metrics|the statistics|monitoring data]?", "[Where|How] [do I|can I|does Prometheus|can Prometheus|does Grafana] [get|find|scrape|read|see|collect|fetch] [the metrics|metrics|statistics|the server's metrics|the numbers]?", "[Does|Can|Will] [Pagoda|it|the server] [export|have|offer|expose|publish] [metrics|Prometheus metrics|statistics|counters]?"],
    "/tokenize turns": [
        f"{PATH} [counts|tokenizes|turns|is for|does|gives me] [tokens|the tokens|a prompt|a text|tokenization|token ids|token counts][ into tokens|]?", "[How|Where] [do I|can I|would I|could I] [count|get|see|find|measure|know] [the number of tokens|the tokens|the token count|how many tokens a text has|the tokens of my prompt|the length of a prompt in tokens|token ids]?"],
    "Pagoda has /v1/chat/completions": ["[Which|What] [endpoints|routes|paths|URLs|APIs] [are there|does Pagoda have|does the server have|can I call|exist|are available|do you offer|does it offer]?", "[List|Show|Name|Give me|Tell me] [all |][the |your ][endpoints|routes|paths|API paths|URLs]."],
    "--port sets": [f"{FLAG} [the port|the port number|the listening port|another port]?", f"{SHOW} [change|set|choose|pick|use|select|switch|move to|configure|listen on|run on] [the port|another port|a different port|port 9000|a new port|port 8080|some other port]?", "[Port 8000|The port|My port|The default port] is [busy|taken|used|occupied|not free|blocked][, what now|, what do I do|, how do I change it|. What can I do|, help]?"],
    "--host sets": [f"{FLAG} [the host|the address|the listening address|the interface|the IP address]?", f"{SHOW} [change|set|choose|bind|bind to|listen on|limit it to|configure] [the host|the address|localhost only|one interface|127.0.0.1|an IP address|a network interface]?"],
    "--api-key makes": [f"{FLAG} [the API key|a key|authentication|the access key|access control|a password]?", f"{SHOW} [set|require|demand|use|add|configure|enable|turn on] [an API key|a key|authentication|a password|access control|a bearer token]?", f"{SHOW} [protect|secure|lock|guard|close] [the server|my server|Pagoda|the API|access]?", "[How do|Can|Do] clients [need|send|use|authenticate with|have to send] [a key|an API key|a token]?"],
    "--max-model-len sets": [f"{FLAG} [the context length|the maximum length|the context|the longest context|the context size|the context window|the maximum context]?", f"{SHOW} [set|limit|change|reduce|raise|increase|shorten|extend|bound|restrict] [the context length|the context|the context window|the maximum length|the context size|the maximum context length]?"],
    "--max-num-seqs sets": [f"{FLAG} [the number of running requests|how many requests run|the concurrency|the batch size|parallel requests|the maximum number of sequences]?", f"{SHOW} [limit|set|change|raise|reduce|restrict] [the number of requests in a step|concurrent requests|parallel requests|how many requests run together|the batch size|the number of sequences]?"],
    "--dtype sets": [f"{FLAG} [the dtype|the data type|the precision|the number type|the type of the computation]?", f"{SHOW} [set|change|choose|select|pick] [the dtype|the precision|the data type|float32|bfloat16|float16|the number format]?"],
    "--served-model-name sets": [f"{FLAG} [the model name|the name of the model|the served name|the public name|the name clients see|the name in the API]?", f"{SHOW} [change|set|choose|rename|give|pick|replace] [the model name|the model|the name of the model|another model name|the name that clients see|a different model name]?"],
    "--threads sets": [f"{FLAG} [the threads|the number of threads|the thread count|how many threads run|the CPU threads|the number of cores|how many cores are used]?", f"{SHOW} [set|change|limit|use|choose|reduce|run with|make Pagoda use|make it use] [the number of threads|more threads|two threads|fewer threads|all cores|eight threads|fewer cores|only some cores|one thread|the cores]?"],
    "--block-size sets": [f"{FLAG} [the block size|the size of a block|the KV block size|the tokens per block]?", f"{SHOW} [set|change|choose] [the block size|the size of the blocks|the size of KV cache blocks|tokens per block]?"],
    "The KV cache keeps": ["[What|Which data] [does|is in|is kept in|is stored in|goes into|do you keep in] [the|a] KV cache[ store| hold| contain| do|]?", "[What|How] [is|does|do you call] the KV cache[ work| good| used|]?"],
    "Temperature sets": ["[Which|What] temperature [makes|gives|is|should I use for|do I set for] [deterministic answers|the likeliest token|no randomness|greedy answers|the same answer|the most likely token|random answers]?", f"{SHOW} [make|get|have] [answers|the answers|the output|text] [less|more] [random|creative|varied|wild]?", "[What|Which] [parameter|setting|value] [controls|sets|changes] [the randomness|randomness|how random the answer is|creativity]?"],
    "A stop string ends": [f"{SHOW} [stop|end|cut|finish|halt] [the answer|generation|the output|the text|the model] [at a word|at a given text|when a word appears|at a string|at some word|early|on a newline]?"],
    "Streaming sends": [f"{SHOW} [see|get|receive|read|show|display] [the answer|tokens|the text|the output|words|the reply] [while it is made|as they come|piece by piece|one by one|token by token|live|as it is written|bit by bit|immediately]?", f"{SHOW} [stream|turn on streaming|enable streaming|stream the answer|stream tokens|use streaming]?"],
    "Safetensors is": ["[What|Which] [kind of|type of|] [file|format] is [safetensors|a safetensors file|.safetensors]?", "[In|With] [which|what] [format|file format|kind of file] are [the weights|model weights|the model weights] [stored|saved|kept]?"],
    "A scheduler decides": ["[What|Which job|Which task|What work] does [the|a] scheduler [do|have|decide|in an engine|handle]?", "[Who|What] [decides|chooses|picks|determines] which [request runs|requests run|requests go first|request is next]?", "[What|Tell me what] is the [task|role|work|purpose|function] of [the|a] scheduler[ in Pagoda| in an engine|]?"],
    "RoPE, rotary": ["[How|What] does [RoPE|rope|rotary embedding] [do|work|encode|do to the queries|do with the keys|encode positions|handle positions]?", "How [are|does the model know] [positions|the position of a token|token positions|word order|the order of tokens] [encoded|marked|handled|]?"],
    "LoRA adds": ["[What|How] [does|is|do] [LoRA|a LoRA|an adapter|a LoRA adapter|LoRA adapters] [do|change|good|work|add to a model|work in serving]?"],
    "Preemption frees": ["[What|Why] [does it mean|happens] [that|when|if] [a request|my request|a sequence] [is|was|gets] preempted?", "[When|Why] [does|would|will|is] [Pagoda|the engine|the scheduler|a request] [preempt|preempted|preempt a request|stop a running request]?"],
    "Quantization stores": ["[What|How] [does it mean|is it meant] [that|when|if] a model is quantized?", "[What|Why] [does quantizing a model do|do people quantize models|happens when I quantize a model|is a quantized model|do 8-bit weights mean]?"],
}

CHOICE = re.compile(r"\[([^\[\]]*)\]")


def expand(rng, text):
    """One sentence of a grammar."""
    while "[" in text:
        text = CHOICE.sub(lambda found: rng.choice(found.group(1).split("|")), text)
    text = re.sub(r" +([?.,])", r"\1", " ".join(text.split()))
    return text[0].upper() + text[1:]


def grammars_for(fact):
    found = [sentences for start, sentences in GRAMMARS.items() if fact["answer"].startswith(start)]
    assert len(found) <= 1, f"two grammars for {fact['answer']}"
    return found[0] if found else []


def check_all_used(facts):
    unused = [start for start in GRAMMARS if not any(fact["answer"].startswith(start) for fact in facts)]
    assert not unused, f"grammars without a fact: {unused}"
