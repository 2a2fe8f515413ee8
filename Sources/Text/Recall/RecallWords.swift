import Support

/// The words of recall rows.
enum RecallWords {
    static let nouns = words(
        """
        anchor apple arrow badge barrel basket beacon bell blanket bottle bridge bucket button cabin candle canyon carpet
        castle cellar chimney clock cloud compass copper cottage crystal curtain desert diamond dragon drum eagle engine
        falcon feather fence ferry field flute forest fountain garden gate glacier hammer harbour hawk helmet hill island
        jacket kettle kitchen ladder lantern lemon library lighthouse lion maple market meadow mill mirror monkey mountain
        museum needle oak ocean orchard otter owl palace parrot pearl pepper piano pillar pine planet pocket pond quarry
        rabbit raven ribbon river rocket saddle sailor salmon shelter shield silver spoon stable statue station stove summit
        table temple thunder tiger tower tunnel turtle valley velvet violin wagon walnut whale willow window winter wolf
        """)

    static let adjectives = words(
        """
        amber ancient autumn bitter black blue bold brave bright broken calm clever cold crimson curious dark deep distant
        dusty eager early eastern empty fading faint fair fierce final frozen gentle golden grand gray green hidden hollow
        humble icy inner ivory jade large late little lonely long lost lower lucky merry narrow noble northern old outer pale
        patient plain proud purple quiet rapid red restless round rusty sacred scarlet secret sharp silent simple slow small
        smooth solid southern spare steady steep still stormy strange sunny swift tall tiny upper warm western white wild
        """)

    static let firstNames = words(
        """
        Adam Alice Amir Anna Arthur Beatrice Boris Carmen Charles Clara Daniel Diana Edith Elena Emil Eva Felix Fiona Frank
        George Grace Hannah Hassan Helen Henry Ida Igor Irene Ivan Jack Jane Jonas Julia Karen Karl Kenji Laura Leo Lily Louis
        Lucy Maria Martin Mei Michael Mona Nadia Nina Noah Nora Oscar Otto Paul Peter Priya Rachel Robert Rosa Ruth Samuel
        Sara Simon Sofia Stefan Susan Tara Thomas Ursula Victor Vera Walter Wanda Yusuf Zoe
        """)

    static let surnames = words(
        """
        Adler Baker Barnes Becker Bennett Berg Carter Chen Clarke Cohen Cooper Costa Dalton Dixon Duarte Ellis Evans Ferrari
        Fischer Fletcher Foster Garcia Gibson Grant Gruber Hale Hansen Harper Hayes Hoffman Howard Hughes Ito Jansen Jensen
        Kaplan Keller Khan Kim Kovacs Lambert Larsen Lehmann Lopez Marsh Mason Mendez Meyer Miller Moreau Morgan Murphy
        Nakamura Newton Nolan Novak Olsen Ortiz Palmer Parker Patel Peters Petrov Quinn Ramos Reid Rossi Santos Schmidt Silva
        Singh Stone Sullivan Tanaka Taylor Turner Vogel Walsh Weber Webster Wright Young Zimmer
        """)

    static let letters = "ABCDEFGHJKLMNPQRSTUVWXYZ".map { String($0) }
    static let digits = "0123456789".map { String($0) }

    private static func words(_ text: String) -> [String] {
        text.split { $0 == " " || $0 == "\n" }.map { String($0) }
    }

    /// One of `choices`, of which there is at least one.
    static func one<Choice>(of choices: [Choice], _ random: inout SplitMix64) -> Choice {
        choices[Int.random(in: choices.indices, using: &random)]
    }
}
