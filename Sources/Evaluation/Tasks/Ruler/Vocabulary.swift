import Support

/// English words that keys and lists are made of. None stands in two lists.
enum Vocabulary {
    /// Things, animals, people and places.
    static let nouns = words(
        """
        acorn actor admiral advice airport album alley almond alphabet anchor animal ankle answer ant anvil \
        apple apron arch archer arm armchair arrow artist ash atlas attic aunt author avenue axe badge bagel \
        bakery balcony ball balloon banana band banjo bank banner barn barrel basin basket bat bay beach \
        bead beak beam bean bear beard beaver bed bee beetle bell belt bench berry bicycle bird biscuit \
        blanket blossom board boat bone bonnet book boot border bottle boulder bowl box bracelet branch \
        brass bread breeze brick bridge broom brother brush bubble bucket buckle buffalo bulb bull bundle \
        butcher butter button cabbage cabin cable cactus cage cake calendar camel camera camp canal candle \
        canoe canvas canyon cape captain card carpet carriage carrot cart castle cat cattle cave ceiling \
        cellar cello chain chair chalk chapel chapter cheese cherry chess chest chicken chimney church cider \
        circle circus city clay cliff clock cloth cloud clover clown coach coal coast coat cobbler cocoa \
        coffee coin collar colony comb comet compass concert copper corner cotton couch cousin cow cradle \
        crane crate crayon cream creek crow crown crumb crystal cup curtain cushion cymbal dagger daisy dam \
        dance daughter deer desert desk diamond diary dinner doctor dog doll dolphin donkey door dove dragon \
        drawer dream dress drum duck dune eagle ear earth echo editor eel egg elbow elephant elk elm engine \
        envelope estate evening eye fabric face factory falcon farm farmer father feast feather fence fern \
        ferry fiddle field fig finch finger fire fish flag flame flask flock flood floor flour flower flute \
        fog food foot forest fork fort fountain fox frame friend frog frost fruit furnace galaxy gallery \
        garage garden garlic gate gem ghost giant giraffe glacier glass globe glove goat gold goose gorge \
        grain grandson grape grass gravel grove guard guest guitar gull hair hall hammer hammock hand harbor \
        harp harvest hat hawk hay hazel heart hedge heel helmet herb herd hero heron hill hinge hive hook \
        horizon horn horse hotel house hunter hut iceberg ink inn iron island ivy jacket jaguar jam jar \
        jewel jockey journal journey judge juice jungle kettle key king kitchen kite kitten knee knife \
        knight knot laborer lace ladder lady lake lamb lamp lantern lark lawn lawyer leaf leather ledge \
        lemon lens letter lettuce library lily lime linen lion lizard llama lobby lock locket log loom \
        lumber lute magnet maid mantle map maple marsh mask mast meadow meal medal melody melon mentor \
        merchant metal miller mine mirror moat mole monk moon moose mosaic moss moth mother motor mountain \
        mouse mouth mule museum music nail napkin neck necklace needle nephew nest net night novel nurse nut \
        oak oar oasis oats ocean office onion opera orange orbit orchard orchid organ otter oven owl ox \
        oyster paddle page pail painter palace palm pan panda panther paper parade parcel park parrot path \
        peach peacock pear pearl pebble pelican pen pencil pepper piano pickle picture pier pig pigeon \
        pillow pilot pine pipe pirate planet plank plate platter plum pocket poem poet pond pony porch port \
        portrait potato potter powder prairie prince prism puddle pump pumpkin puppet puppy purse quail \
        quarry queen quill quilt quiver rabbit radio radish raft rail rain ramp ranch raven razor reef \
        ribbon rice rider ring river road robe robin robot rock rocket roof room rooster root rope rose ruby \
        rudder ruler saddle sail sailor salad salmon salt sand sandal satin sauce saw scale scarf scholar \
        school scout screen sea seal season seed shadow shark shawl sheep sheet shelf shell shepherd shield \
        ship shirt shoe shop shore shoulder shovel shrimp singer sister skate skirt sky sled sleeve slipper \
        snail snake sofa soil soldier song soup spade sparrow spear spice spider spine spoon spring spruce \
        square squirrel stable stadium stage stair stamp star statue steam steel stem stone stool storm \
        stove straw stream street string student summit sun supper swan sword table tailor tapestry tar tea \
        teacher temple tent theater thimble thorn thread throne thumb ticket tiger tile timber toad tomato \
        tongue tooth torch tower town toy trail train tray treasure tree trumpet trunk tulip tunnel turkey \
        turnip turtle umbrella uncle uniform valley van vase vault veil vessel village vine vineyard violet \
        violin voice volcano wagon waiter wall walnut walrus wasp watch water wave weasel weather weaver web \
        well whale wharf wheat wheel whistle widow willow window wine wing winter wizard wolf wood wool worm \
        wreath wren writer yard yarn yeast zebra zipper
        """)

    /// What they may be like.
    static let adjectives = words(
        """
        able aged amber ample ancient angry apt arctic austere autumn awake bare bashful big bitter bland \
        blank bleak blind blissful blue bold bony brash brave brief bright brisk broad bronze brown bumpy \
        busy calm candid careful cautious charming cheap cheerful chilly civil classic clean clear clever \
        close cloudy clumsy coarse cold common cool coral cosy courteous crafty crimson crisp crooked crude \
        cruel curious curly damp dapper daring dark dazzling deaf dear decent deep delicate dense dim direct \
        distant dizzy docile double drab dry dual dull dusty eager early earnest easy elated elder elegant \
        eminent empty equal even exact exotic fabled faint fair faithful famous fancy fast fatal feeble \
        fertile festive fickle fierce fine firm first flaky flat fluffy fluid fond formal frail frank free \
        fresh frosty frozen frugal full fuzzy gaudy gentle genuine giddy gifted glad gleaming gloomy glossy \
        golden good graceful grand grateful grave gray greasy great green grim gritty grumpy handy happy \
        hardy harsh hasty hazy healthy hearty heavy hefty helpful high hoarse hollow honest hopeful hot huge \
        humble humid hungry icy ideal idle immense inner innocent ivory jagged jolly jovial joyful keen kind \
        known lame languid large last late lavish lawful lazy lean level light limp little lively local \
        lofty lonely long loose loud lovely low loyal lucid lucky lush mad major marble married mature \
        meager meek mellow merry mighty mild milky minor misty modern modest moist moral muddy murky mute \
        narrow neat new nimble noble noisy normal numb obedient oblong odd old olive opal open ornate oval \
        pale past patient peaceful perfect placid plain pleasant plump polite poor precious pretty prime \
        proud prudent public pure purple quaint quick quiet rapid rare raw ready real red regal remote rich \
        rigid ripe robust rocky rosy rough round royal rural rustic sad safe salty sandy scarce scarlet \
        secret serene shady shallow sharp shiny short shrewd shy silent silky silver simple sincere sleek \
        sleepy slim slippery slow small smart smooth snowy sober soft solemn solid somber sound sour spare \
        sparse spicy spotless stale steady steep stern stiff still stormy stout strange strict strong sturdy \
        subtle sudden sunny superb sweet swift tall tame tan tart tender tense tepid thick thin thirsty tidy \
        tight timid tiny tired tranquil true trusty typical upbeat upright urban useful usual vacant vague \
        vain valid vast velvet verdant vivid warm wary weak wealthy weary wet white whole wicked wide wild \
        wise witty wooden woolen worldly worthy young zany zealous
        """)

    /// What one may do, in the infinitive.
    static let verbs = words(
        """
        accept admire admit advise agree allow amuse announce appear applaud argue arrange arrive ask attach \
        attend avoid balance bathe battle become beg begin behave believe belong bend blame bless blink \
        boast boil borrow bounce bow breathe bring build bury calculate call carry carve catch cause \
        challenge change charge chase cheat cheer chew choose claim climb collect command compare compete \
        complain complete confess connect consider contain continue correct cough count cover crash crawl \
        create cross cry cure cycle deal decay decide decorate delay deliver depend describe deserve destroy \
        detect develop disagree discover divide drag draw drift drip drive drop earn eat embrace employ \
        encourage end enjoy enter escape examine excite excuse exist expand expect explain explode extend \
        fasten fetch fill find fix float flow fold follow forget forgive found gather gaze give glow glue \
        grab greet grin grip guess guide hang happen hatch haunt heal heap help hide hop hope hover hug hum \
        hurry identify imagine impress improve include increase inform inject instruct intend invent invite \
        irritate itch jog join joke juggle jump kick kneel knit knock label laugh launch learn leave lend \
        lick lift like listen live load look love manage march mark measure meddle melt memorize mend mix \
        moan mourn move multiply murmur nod notice number obey observe obtain offer order owe pack paint \
        pass pause peel perform permit phone pinch plant play please plug point polish pour pray preach \
        prefer prepare present preserve pretend prevent print produce promise protect provide pull punch \
        punish push question race radiate reach read receive recognize record reduce reflect refuse regret \
        reign reject rejoice relax release rely remain remember remind remove repair repeat replace reply \
        report rescue retire return rinse risk roam roll rub rule run rush satisfy save scatter scold scrape \
        scratch scream scribble search send separate serve settle shake share shave shelter shiver shrug \
        sigh sing sit skip slap slide slip smell smile sneeze sniff soak soothe sort spell spill spoil spray \
        sprout squeak squeeze stare start stay steer step stir stitch stop strap strengthen stretch strip \
        stroke stuff subtract succeed suffer suggest supply support suppose surprise surround suspect switch \
        talk taste teach tease tell tempt thank think tickle tie touch trace trade transport travel treat \
        tremble trick trot trust try tug tumble turn twist unfasten unite unlock vanish visit wail wait wake \
        walk wander want warn wash waste weigh welcome whine whirl whisper wink wipe wish wobble wonder \
        worry wrap wrestle write yawn yell zoom
        """)

    /// Such as "amber-lantern": an adjective and a noun.
    static func pair(_ random: inout SplitMix64) -> String {
        adjectives[Int.random(in: adjectives.indices, using: &random)] + "-"
            + nouns[Int.random(in: nouns.indices, using: &random)]
    }

    /// `count` different words in random order, or as many pairs when there are not so many words. Of equal generators a
    /// smaller count gives the first of a greater one, while both give words or both pairs.
    static func sample(_ count: Int, _ random: inout SplitMix64) -> [String] {
        let words = nouns + adjectives + verbs
        if count <= words.count { return Array(words.shuffled(using: &random).prefix(count)) }
        var pairs = DistinctValues<String>()
        return (0..<count).map { _ in pairs.next { pair(&random) } }
    }

    /// `count` letters of an alphabet that is not empty.
    static func letters(_ count: Int, of alphabet: String, _ random: inout SplitMix64) -> String {
        let letters = Array(alphabet)
        return String((0..<count).map { _ in letters[Int.random(in: letters.indices, using: &random)] })
    }

    private static func words(_ text: String) -> [String] { text.split(separator: " ").map(String.init) }
}
