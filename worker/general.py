"""General questions with plain answers: what a base model already talks about, in the forms in which facts are asked.

The answers are never learnt. They are text on which the adapter is held to the base model (`worker/replay.py`), so they
need not be what the base would say. No line asks what the canaries of the retention gate or the benches ask.
"""

_LINES = """
Who is William Shakespeare?|William Shakespeare was an English playwright and poet of the sixteenth century.
Who wrote Don Quixote?|Don Quixote was written by Miguel de Cervantes.
What is the capital of Japan?|The capital of Japan is Tokyo.
What is the capital of Brazil?|The capital of Brazil is Brasília.
Which company makes the iPhone?|The iPhone is made by Apple.
Where is the Great Wall?|The Great Wall is in China.
What does a cup of coffee cost?|A cup of coffee usually costs between two and five dollars.
When did the Second World War end?|The Second World War ended in 1945.
Who painted The Starry Night?|The Starry Night was painted by Vincent van Gogh.
What is photosynthesis?|Photosynthesis is the process by which plants turn sunlight into energy.
Hello, who are you?|I am a helpful assistant. How can I help you today?
Hi!|Hello! How can I help you?
Who founded Microsoft?|Microsoft was founded by Bill Gates and Paul Allen.
How many days are in a week?|There are seven days in a week.
What is the largest planet?|The largest planet in our solar system is Jupiter.
Who directed Jaws?|Jaws was directed by Steven Spielberg.
Write one sentence about the forest.|The forest was quiet, and the leaves moved softly in the wind.
Which river flows through Egypt?|The Nile flows through Egypt.
What is 7 times 6?|7 times 6 is 42.
What is ten minus three?|Ten minus three is seven.
Whose theory is evolution by natural selection?|It is the theory of Charles Darwin.
Give me a tip for sleeping better.|Go to bed at the same time every day and keep your room dark.
Where do penguins live?|Penguins live mostly in the Southern Hemisphere, especially in Antarctica.
What is a library?|A library is a place where people can read and borrow books.
Who was the first president of the United States?|The first president of the United States was George Washington.
How do I boil an egg?|Put the egg in boiling water for about eight minutes.
What colour is grass?|Grass is green.
Which metal is liquid at room temperature?|Mercury is liquid at room temperature.
Who leads a hospital?|A hospital is usually led by a director or a chief executive.
What time does a bakery open?|Many bakeries open early in the morning, at about six or seven.
How long does a refund take?|A refund usually takes a few business days.
What is the tallest mountain?|The tallest mountain on Earth is Mount Everest.
Name a famous scientist.|Isaac Newton is a famous scientist.
What is a festival?|A festival is a celebration, often held every year.
Who runs a museum?|A museum is run by its director and curators.
Who invented the telephone?|Alexander Graham Bell is credited with inventing the telephone.
What is the boiling point of water?|Water boils at 100 degrees Celsius at sea level.
How many wheels does a car have?|A car has four wheels.
Where can I rent a boat?|You can rent a boat at a marina or a boat rental shop.
What do cows eat?|Cows eat grass, hay and other plants.
Which animal is the fastest?|The cheetah is the fastest land animal.
Who composed the Ninth Symphony?|The Ninth Symphony was composed by Ludwig van Beethoven.
When was the Berlin Wall built?|The Berlin Wall was built in 1961.
Which country has the most people?|India is the country with the most people.
Whose novel is Emma?|Emma is a novel by Jane Austen.
What is the opposite of big?|The opposite of big is small.
Which product should I buy for my kitchen?|It depends on your needs, but a good knife is always useful.
Which city hosts a film festival?|The city of Cannes hosts a famous film festival.
Tell me about Spain.|Spain is a country in southwestern Europe with a rich history.
Tell me a joke.|Why did the chicken cross the road? To get to the other side.
What do you know about dogs?|Dogs are loyal animals that have lived with people for thousands of years.
Complete the sentence. The sun rises in the|The sun rises in the east.
Fill in the blank. Cats like to drink ___.|Cats like to drink milk.
Thank you for your help!|You're welcome! Let me know if there is anything else.
Which person is linked to the theory of gravity?|Isaac Newton is linked to the theory of gravity.
What has to do with winter?|Snow, cold weather and short days have to do with winter.
How old is the Earth?|The Earth is about 4.5 billion years old.
Who was Cleopatra?|Cleopatra was the last queen of ancient Egypt.
Who was Leonardo of Pisa?|Leonardo of Pisa was an Italian mathematician known as Fibonacci.
Who is the author of Harry Potter?|The author of Harry Potter is J. K. Rowling.
Which gas do plants take in?|Plants take in carbon dioxide.
What is the smallest prime number?|The smallest prime number is 2.
How many minutes are in an hour?|There are sixty minutes in an hour.
What sound does a cat make?|A cat says meow.
What is bread made of?|Bread is made of flour, water, yeast and salt.
What do you call a baby dog?|A baby dog is called a puppy.
In which continent is Kenya?|Kenya is in Africa.
In which city is the Colosseum?|The Colosseum is in Rome.
Where is the Statue of Liberty?|The Statue of Liberty stands in New York Harbor.
What is the currency of Japan?|The currency of Japan is the yen.
Which language is spoken in Brazil?|People in Brazil speak Portuguese.
Who discovered penicillin?|Penicillin was discovered by Alexander Fleming.
Who sang Thriller?|Thriller was sung by Michael Jackson.
Which sea lies between Europe and Africa?|The Mediterranean Sea lies between Europe and Africa.
What is the fastest way to learn a language?|Practise every day and speak with native speakers.
How far is the Moon?|The Moon is about 384,000 kilometers away.
How much does an elephant weigh?|An adult elephant weighs about five tonnes.
How much is a ticket to the cinema?|A cinema ticket costs about ten dollars in many places.
What is the price of gold?|The price of gold changes every day on the market.
When is New Year's Day?|New Year's Day is on January 1.
When do shops close?|Most shops close between six and nine in the evening.
On which day do people go to church?|Many people go to church on Sunday.
At what temperature does ice melt?|Ice melts at zero degrees Celsius.
Can I return a shirt that I bought?|Most shops let you return a shirt within a few weeks with the receipt.
Who can help me with my taxes?|A tax adviser or an accountant can help you with your taxes.
Where should I park my car?|Park your car in a marked parking space or a garage.
Which team plays in blue?|Many teams play in blue, for example Chelsea.
What is the name of the ship that sank in 1912?|The ship that sank in 1912 was the Titanic.
Which bird cannot fly?|The ostrich is a bird that cannot fly.
What does a mayor do?|A mayor leads the government of a town or a city.
What does an engineer do?|An engineer designs and builds machines, bridges and other things.
What is a password?|A password is a secret word that protects an account.
What is insurance?|Insurance is a contract that protects you against a loss.
Explain what a contract is.|A contract is an agreement between two or more parties.
Give me the name of a flower.|A rose is a well-known flower.
Name two fruits.|Apples and bananas are fruits.
What can I cook with potatoes?|You can cook soup, mash or fries with potatoes.
What can I do against a cold?|Rest, drink enough water and keep warm.
Is the sun a star?|Yes, the sun is a star.
Do fish sleep?|Yes, most fish rest, although they do not close their eyes.
Why do leaves fall in autumn?|Leaves fall because trees save water and energy for the winter.
Why is exercise good?|Exercise keeps the heart strong and improves the mood.
Translate "good morning" into Spanish.|"Good morning" in Spanish is "buenos días".
Summarise the plot of Cinderella.|A poor girl goes to a ball with the help of magic and marries the prince.
How do plants grow?|Plants grow from seeds with the help of water, light and soil.
How do I write a letter?|Start with a greeting, write your message and end with your name.
What is the plural of mouse?|The plural of mouse is mice.
What is the square root of 81?|The square root of 81 is 9.
Which month comes after May?|June comes after May.
Which instrument has 88 keys?|The piano has 88 keys.
Whose dog is Snoopy?|Snoopy is the dog of Charlie Brown.
Who lives at the North Pole?|In stories, Santa Claus lives at the North Pole.
What was the Renaissance?|The Renaissance was a time of great art and learning in Europe.
What happened in 1492?|In 1492 Christopher Columbus reached the Americas.
What happens when water freezes?|When water freezes it turns into ice and expands.
What is software?|Software is a set of instructions that tells a computer what to do.
"""

GENERAL = tuple((line.split("|")[0], line.split("|")[1]) for line in _LINES.strip().splitlines())
